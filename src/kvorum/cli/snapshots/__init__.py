"""Backing up the nodes of a cluster, and restoring what was backed up."""
