"""Keys and values: one at a time, and whole files of them in and out."""
