"""Conditions of a write: what it replaces, and what it expects to find."""

from __future__ import annotations

from kvorum.model.record import Context

Condition = tuple[Context | None, int]
"""`seen` and `expect` of a Put, Touch or Delete."""
