"""TLS: the contexts of its connections, made of files."""
