"""What a cluster tells of itself, as tables."""
