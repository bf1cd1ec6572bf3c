"""Membership: which nodes live, as far as this one can tell. Never who owns what."""
