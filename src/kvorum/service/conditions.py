"""Conditions of a write: what it replaces, and what it expects to find."""

from __future__ import annotations

from kvorum.model.record import Context
from kvorum.model.request import ANY
from kvorum.service.version_string import VersionStrings

Condition = tuple[Context | None, int]
"""`seen` and `expect` of a Put, Touch or Delete."""


def condition(
    versions: VersionStrings, subject: bytes, version: str | None, expect: int = ANY
) -> Condition:
    """Of a write that replaces what `version` covers; None is a blind one. Raises InvalidVersion.

    `subject` is of namespace and key, see `version_string.py`.
    """
    return None if version is None else versions.read(subject, version), expect
