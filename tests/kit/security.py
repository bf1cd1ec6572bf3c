"""The security catalog that a node shares, and what makes passwords, as the service sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from kvorum.model.errors import KvorumError, StorageError
from kvorum.model.permissions import Grant, Permission, Role
from kvorum.model.security_catalog import (
    EntryId,
    SecurityCatalog,
    SecurityEntry,
    first_administrator,
)
from kvorum.model.security_values import Password, Token, User, Value
from kvorum.service.principal import Principal
from kvorum.service.security_administration import SecurityAdministration, SecurityParts
from kvorum.service.security_changes import SecurityChanges
from kvorum.service.service import Service

ADMIN_ID = "00000000000a"
TOKEN_ID = "0123456789ab"
NOW_MS = 1_800_000_000_000


class Spread(NamedTuple):
    known_by: tuple[str, ...]
    not_yet: tuple[str, ...]


def catalog_of(*values: Value) -> SecurityCatalog:
    """A catalog with a first administrator and `values`."""
    catalog, _ = SecurityCatalog().merged([first_administrator(ADMIN_ID, "d" * 64)])
    for value in values:
        catalog, _ = catalog.merged([catalog.putting(value, NOW_MS, 1)])
    return catalog


class FakeShared:
    """Takes changes at once, unless it holds them back; nobody else hears of them."""

    def __init__(self, *values: Value) -> None:
        self.catalog = catalog_of(*values)
        self.spread = Spread(("n1", "n2"), ("n3",))
        self.error: StorageError | None = None
        self.holds_back = False
        self.changed: list[SecurityEntry] = []
        self.held: list[Callable[[], None]] = []
        self.unspread: list[Callable[[], object]] | None = None
        """Where the replies gather that wait for other nodes; None if they wait for none."""
        self._hear: list[Callable[[SecurityCatalog, Sequence[EntryId]], object]] = []

    def subscribe(self, hear: Callable[[SecurityCatalog, Sequence[EntryId]], object], /) -> None:
        self._hear.append(hear)

    def change(
        self, entry: SecurityEntry, reply: Callable[[Spread | KvorumError], object], /
    ) -> None:
        def done() -> None:
            if self.error is None:
                self.changed.append(entry)
                self.take(entry)
            result = self.error or self.spread
            if self.unspread is None:
                reply(result)
            else:
                self.unspread.append(partial(reply, result))

        if self.holds_back:
            self.held.append(done)
        else:
            done()

    def take(self, entry: SecurityEntry) -> None:
        """Have `entry` in the catalog, whoever made it."""
        self.catalog, ids = self.catalog.merged([entry])
        for hear in self._hear:
            hear(self.catalog, ids)


class FakePasswords:
    """Keeps passwords at once, in a way that a test can look at."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.error: KvorumError | None = None

    def keep(self, password: bytes, reply: Callable[[Password | KvorumError], object], /) -> None:
        self.kept.append(password)
        made = Password(n=2, r=1, p=1, salt="", derived=password[::-1].hex())
        reply(self.error or made)


class FakeSecurity:
    """A secure cluster with a role `clerk`, a user `ann` who has it, and a token of hers."""

    def __init__(self) -> None:
        clerk = Role(name="clerk", permissions=(Permission.READ,), namespace="orders")
        grants = (Grant(role="reader", namespace="orders", prefix="2026/"),)
        token = Token(
            id=TOKEN_ID,
            name="shop",
            digest="e" * 64,
            grants=grants,
            created_ms=NOW_MS,
            expires_ms=NOW_MS + 1000,
        )
        self.shared = FakeShared(clerk, User(name="ann", grants=grants), token)
        self.passwords = FakePasswords()
        self.now_ms = NOW_MS
        self.holders: dict[str, Token | User] = {"anonymous": token}

    def administration(self, service: Service) -> SecurityAdministration:
        def holder(principal: Principal) -> Token | User | None:
            return self.holders.get(principal.name)

        changes = SecurityChanges(self.shared, lambda: self.now_ms, 1)
        parts = SecurityParts(changes=changes, passwords=self.passwords, holder=holder)
        return SecurityAdministration(service, parts)
