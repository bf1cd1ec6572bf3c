"""Running nodes: one in the foreground, or a local cluster of several."""
