"""Principals: on whose behalf a request is made.

Every request has one. A face finds out who it is (by a token, a password, a certificate) before it
comes to the door; what the principal may do there, the policy says (`access.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who makes requests, by name. `kind`: how it has shown who it is. `source`: the
    IP address that it asks from.
    """

    name: str
    kind: str
    source: str = ""


ANONYMOUS: Final = Principal("anonymous", "anonymous")
"""A client that has not said who it is."""

LOCAL: Final = Principal("local", "local")
"""The program that has the store in its own process."""
