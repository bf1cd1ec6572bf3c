"""Names for clusters, kept in a file of the user."""
