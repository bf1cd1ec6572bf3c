"""What keeps a cluster sound and its keys fresh."""
