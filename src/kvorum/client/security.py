"""How a client makes sure of its servers, and how it says who it is.

    ca             whom it trusts: a file with the certificates of authorities, in PEM
    cert, key      a certificate of its own, and the private key of that
    token, or token_file, or user and password    its credentials

Each of these three is given as a whole: whoever names a token in one place names no user in
another. A secret is shown by nobody's `repr`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from kvorum.model.errors import ConfigError

SECURE_SCHEME: Final = "kvorums://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How a client makes sure of its servers, and how it says who it is."""

    ca: Path | None = None
    """The file with the authorities that are trusted. None: those of the system."""
    cert: Path | None = None
    """The file with a certificate of the client's own."""
    key: Path | None = None
    """The file with its private key."""
    token: str | None = field(default=None, repr=False)
    """A token that says who asks."""
    token_file: Path | None = None
    """A file that holds such a token; it is read again when it has changed."""
    user: str | None = None
    """The name of a user, in place of a token."""
    password: str | None = field(default=None, repr=False)
    """That user's password."""


GROUPS: Final = (("ca",), ("cert", "key"), ("token", "token_file", "user", "password"))
SECRETS: Final = frozenset({"token", "password"})

assert [name for group in GROUPS for name in group] == [it.name for it in fields(Security)]


def over(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, and of `usual` what that says nothing of. What belongs together is not mixed."""
    decided = {name for group in GROUPS if given.keys() & {*group} for name in group}
    return {**{name: it for name, it in usual.items() if name not in decided}, **given}


def check_security(security: Security, *, tls: bool) -> None:
    """Raises ConfigError if it contradicts itself, or is given for a connection without TLS."""
    given = [name for group in GROUPS for name in group if getattr(security, name) is not None]
    if given and not tls:
        raise ConfigError(
            f"{_listed(given)} would be of no use: kvorum:// does not encrypt, and credentials "
            f"would travel in the clear. Write {SECURE_SCHEME} in front of the servers."
        )
    ways = [name for name in ("token", "token_file", "user") if name in given]
    if len(ways) > 1:
        raise ConfigError(f"{_listed(ways)} are given. Give one of them.")
    for one, other in (("user", "password"), ("cert", "key")):
        if (one in given) != (other in given):
            missing = other if one in given else one
            raise ConfigError(f"{_listed([one, other])} belong together. Give {missing}, too.")


def check_token(token: str) -> str:
    """Raises ConfigError, which does not show it, if `token` can be none."""
    if not isinstance(token, str) or not token or not all("!" <= char <= "~" for char in token):
        raise ConfigError(
            "The token is empty, or has characters that no token has. Give it as 'kvorum token "
            "create' printed it."
        )
    return token


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
