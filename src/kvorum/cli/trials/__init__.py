"""Trying kvorum out: as a story, under load, and in simulation."""
