"""The commands about entries whose keys begin with a prefix: `ls`, `count`, `delete --prefix`."""
