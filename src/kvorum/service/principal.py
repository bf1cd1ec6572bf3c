"""Principals: on whose behalf a request is made.

Every request has one. A face finds out who it is (by a token, a password, a certificate) before it
comes to the door (`authentication.py`); what the principal may do there, the policy says
(`access.py`).
"""

from __future__ import annotations

from typing import Final, Literal

from kvorum.service.allowance import Allowance
from kvorum.service.rights import ALL, Rights

Kind = Literal["token", "user", "certificate", "anonymous", "local"]


class Principal:
    """Somebody who makes requests, as one connection has shown it.

    `source`: the connection's IP address. `rights`: what the policy of a secure cluster allows;
    they change with the security catalog. `allowance`: how much is allowed at a time; None for any
    amount. `valid`: False if nothing was shown, or what was shown counts no more; then whoever asks
    has to be identified anew.
    """

    __slots__ = ("allowance", "kind", "name", "rights", "source", "valid")

    def __init__(
        self,
        name: str,
        kind: Kind,
        source: str = "",
        rights: Rights = ALL,
        allowance: Allowance | None = None,
    ) -> None:
        self.name: Final = name
        self.kind: Final = kind
        self.source: Final = source
        self.rights = rights
        self.allowance = allowance
        self.valid = True

    def __repr__(self) -> str:
        return f"Principal({self.name!r}, {self.kind!r}, {self.source!r}, valid={self.valid})"

    def __str__(self) -> str:
        """As sentences name it."""
        match self.kind:
            case "token" | "user":
                return f"The {self.kind} {self.name!r}"
            case "certificate":
                return f"The user {self.name!r}"
            case _:
                return self.name


ANONYMOUS: Final = Principal("anonymous", "anonymous")
"""A client of a cluster that asks nobody who he is."""

LOCAL: Final = Principal("local", "local")
"""The program that has the store in its own process."""
