"""The security catalog: tokens, users, roles and revoked certificates of a cluster, as one value.

Every node holds all of it and may change it; nodes send each other what they lack. Each entry is a
register of its own, of which the one with the higher stamp counts (last writer wins):

    stamp     milliseconds since 1970 by the changing node's clock, and more than the stamp of
              what was there before, so that a change always counts for more than what it changed
    origin    that node's number, which decides between equal stamps

What is removed stays as an entry without a value, so no node brings it back. A token or a
revocation that is removed stays so whatever the stamps say: its id is never used again.

Merging is commutative, associative and idempotent: nodes that have heard the same entries, in any
order, hold the same catalog.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from kvorum.model.errors import ConfigError, NotFound
from kvorum.model.field_checks import check_name
from kvorum.model.permissions import (
    OF_ENTRIES,
    ROLES,
    Grant,
    Permission,
    Role,
    check_role,
    check_scope,
    narrowed,
)
from kvorum.model.security_values import Revocation, Token, User, Value

EntryKind = Literal["token", "user", "role", "revocation"]

ENTRIES_MAX: Final = 10_000
GRANTS_MAX: Final = 32
NAME_CHARS_MAX: Final = 64
STAMP_MAX: Final = 1 << 53
_FIRST_STAMP: Final = 0


class EntryId(NamedTuple):
    """Which entry: a token by its id, a revocation by the serial, the others by name."""

    kind: EntryKind
    name: str


class SecurityEntry(msgspec.Struct, frozen=True, array_like=True):
    """An entry, or what is left of one that was removed (`value` is None)."""

    kind: EntryKind
    name: str
    stamp: Annotated[int, Meta(ge=0)]
    origin: int
    value: Value | None

    @property
    def id(self) -> EntryId:
        return EntryId(self.kind, self.name)


class SecurityCatalog:
    """All entries, by id. It never changes; each change gives another catalog."""

    __slots__ = ("_digest", "entries")

    def __init__(self, entries: Iterable[SecurityEntry] = ()) -> None:
        self.entries: Final[Mapping[EntryId, SecurityEntry]] = {
            entry.id: entry for entry in sorted(entries, key=lambda entry: entry.id)
        }
        self._digest: bytes | None = None

    @classmethod
    def _of(cls, entries: Mapping[EntryId, SecurityEntry]) -> SecurityCatalog:
        """The catalog of `entries`, which are in the order of their ids."""
        catalog = cls()
        catalog.entries = entries  # type: ignore[misc]
        return catalog

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecurityCatalog) and self.entries == other.entries

    __hash__ = None  # type: ignore[assignment]

    @property
    def digest(self) -> bytes:
        """32 bytes, which are equal for equal catalogs and for no others."""
        if self._digest is None:
            data = msgspec.msgpack.encode(list(self.entries.values()))
            self._digest = hashlib.blake2b(data, digest_size=32).digest()
        return self._digest

    # What is in it

    def token(self, token_id: str) -> Token | None:
        value = self._value("token", token_id)
        return value if isinstance(value, Token) else None

    def user(self, name: str) -> User | None:
        value = self._value("user", name)
        return value if isinstance(value, User) else None

    def role(self, name: str) -> Role | None:
        """Also one that is built in."""
        value = ROLES.get(name) or self._value("role", name)
        return value if isinstance(value, Role) else None

    def is_revoked(self, serial: str) -> bool:
        """True if the certificate with that number is not accepted any more."""
        return self._value("revocation", serial) is not None

    def values(self, kind: EntryKind) -> Iterator[Value]:
        """All that are there, by name; built-in roles are not among them."""
        for entry in self.entries.values():
            if entry.kind == kind and entry.value is not None:
                yield entry.value

    @property
    def has_administrator(self) -> bool:
        """True if somebody can change the catalog, now and later."""
        for value in (*self.values("token"), *self.values("user")):
            assert isinstance(value, Token | User)
            expires = isinstance(value, Token) and value.expires_ms
            if not expires and any(map(_administers, self.allowed(value.grants))):
                return True
        return False

    def allowed(self, grants: Iterable[Grant]) -> tuple[Role, ...]:
        """What `grants` come to. A role that does not exist any more allows nothing."""
        found = []
        for grant in grants:
            role = self.role(grant.role)
            rule = None if role is None else narrowed(role, grant)
            if rule is not None:
                found.append(rule)
        return tuple(found)

    # Changes

    def merged(self, entries: Iterable[SecurityEntry]) -> tuple[SecurityCatalog, list[EntryId]]:
        """This catalog and what counts for more among `entries`; and the ids of these."""
        merged = dict(self.entries)
        changed = []
        for entry in entries:
            old = merged.get(entry.id)
            if old is None or _rank(entry) > _rank(old):
                merged[entry.id] = entry
                changed.append(entry.id)
        if not changed:
            return self, []
        if len(merged) > len(self.entries):
            merged = {entry_id: merged[entry_id] for entry_id in sorted(merged)}
        return SecurityCatalog._of(merged), changed

    def putting(self, value: Value, now_ms: int, origin: int) -> SecurityEntry:
        """The entry that makes or replaces `value`. Raises ConfigError if it cannot be."""
        entry_id = _id_of(value)
        self._check(value)
        if entry_id not in self.entries and len(self.entries) >= ENTRIES_MAX:
            raise ConfigError(
                f"The cluster has {len(self.entries)} tokens, users, roles and revoked "
                f"certificates, removed ones included, and there may be {ENTRIES_MAX}. Give "
                "several programs one token, or users instead of tokens."
            )
        return self._changed(entry_id, value, now_ms, origin)

    def removing(self, kind: EntryKind, name: str, now_ms: int, origin: int) -> SecurityEntry:
        """The entry that removes one. Raises NotFound; ConfigError if it is needed."""
        if self._value(kind, name) is None:
            raise no_such(kind, name)
        if kind == "role":
            self._check_unused(name)
        return self._changed(EntryId(kind, name), None, now_ms, origin)

    def _changed(
        self, entry_id: EntryId, value: Value | None, now_ms: int, origin: int
    ) -> SecurityEntry:
        old = self.entries.get(entry_id)
        stamp = max(now_ms, 1 if old is None else old.stamp + 1)
        entry = SecurityEntry(entry_id.kind, entry_id.name, stamp, origin, value)
        self._check_administrator_left(entry)
        return entry

    def _check(self, value: Value) -> None:
        match value:
            case Role():
                check_role(value)
            case Token() | User():
                check_name(value.name)
                self._check_grants(value.grants)
            case Revocation():
                pass

    def _check_grants(self, grants: tuple[Grant, ...]) -> None:
        if not grants:
            raise ConfigError("No role is given. Give at least one.")
        if len(grants) > GRANTS_MAX:
            raise ConfigError(
                f"{len(grants)} roles are given, and there may be {GRANTS_MAX}. Make a role that "
                "has what they allow together."
            )
        for grant in grants:
            role = self.role(grant.role)
            if role is None:
                there = [*ROLES, *(value.name for value in self.values("role"))]
                raise ConfigError(
                    f"No such role: {grant.role!r}. The roles are {', '.join(there)}. Make another "
                    f"with 'kvorum role create {grant.role}'."
                )
            check_scope(grant.namespace, grant.prefix)
            rule = narrowed(role, grant)
            if rule is None:
                raise ConfigError(
                    f"The role {grant.role!r} allows nothing in the namespace "
                    f"{grant.namespace or role.namespace!r} for keys with the prefix "
                    f"{grant.prefix!r}. Leave out what narrows it, or choose another role."
                )
            beyond = sorted(set(rule.permissions) - OF_ENTRIES)
            if rule.prefix and beyond:
                raise ConfigError(
                    f"The role {role.name!r} allows {beyond[0]}, which does not concern keys, so a "
                    "prefix cannot narrow it. Leave out the prefix, or give that role by itself."
                )

    def _check_unused(self, role: str) -> None:
        for kind in ("token", "user"):
            for value in self.values(kind):
                assert isinstance(value, Token | User)
                if any(grant.role == role for grant in value.grants):
                    raise ConfigError(
                        f"The {kind} {value.name!r} has the role {role!r}. Take it from there "
                        "first."
                    )

    def _check_administrator_left(self, entry: SecurityEntry) -> None:
        """Raises ConfigError if with `entry` nobody is left who can change the catalog."""
        if entry.id not in self.entries:
            return  # What is new takes nothing from anybody.
        after, _ = self.merged([entry])
        if self.has_administrator and not after.has_administrator:
            raise ConfigError(
                f"The {entry.kind} {_shown(entry, self)} is the last administrator that does not "
                "expire, and without one nobody could change this. Make another one first: 'kvorum "
                "token create NAME --role admin'."
            )

    def _value(self, kind: EntryKind, name: str) -> Value | None:
        entry = self.entries.get(EntryId(kind, name))
        return None if entry is None else entry.value


def check_entries(entries: Iterable[SecurityEntry]) -> None:
    """Raises ConfigError if some of `entries`, which come from a file or another node, can be none
    that `putting` or `removing` has made.
    """
    for entry in entries:
        if len(entry.name) > NAME_CHARS_MAX or entry.stamp > STAMP_MAX:
            raise ConfigError(f"An entry of the kind {entry.kind} has no sound name or stamp.")
        value = entry.value
        if value is not None and _id_of(value) != entry.id:
            raise ConfigError(f"The entry of the {entry.kind} {entry.name!r} holds another one.")
        if isinstance(value, Role):
            check_role(value)
        elif isinstance(value, Token | User):
            check_name(value.name)
            if len(value.grants) > GRANTS_MAX:
                raise ConfigError(f"The {entry.kind} {entry.name!r} has too many roles.")
            for grant in value.grants:
                check_scope(grant.namespace, grant.prefix)


def first_administrator(token_id: str, digest: str) -> SecurityEntry:
    """The entry of the token that a cluster begins with. It is the same on every node, and any
    change counts for more.
    """
    token = Token(
        id=token_id,
        name="admin",
        digest=digest,
        grants=(Grant(role="admin"),),
        created_ms=0,
    )
    return SecurityEntry("token", token_id, _FIRST_STAMP, 0, token)


def no_such(kind: EntryKind, name: str) -> NotFound:
    """The error for what does not exist."""
    what = "revoked certificate" if kind == "revocation" else kind
    verb = "certs" if kind == "revocation" else kind
    return NotFound(f"No such {what}: {name!r}. 'kvorum {verb} list' shows which there are.")


def _administers(role: Role) -> bool:
    return (
        Permission.ADMIN_SECURITY in role.permissions and role.namespace is None and not role.prefix
    )


def _id_of(value: Value) -> EntryId:
    match value:
        case Token():
            return EntryId("token", value.id)
        case User():
            return EntryId("user", value.name)
        case Role():
            return EntryId("role", value.name)
        case Revocation():
            return EntryId("revocation", value.serial)


def _rank(entry: SecurityEntry) -> tuple[bool, int, int, bytes]:
    """Of two entries with one id, that of the higher rank counts."""
    final = entry.kind in ("token", "revocation") and entry.value is None
    return final, entry.stamp, entry.origin, msgspec.msgpack.encode(entry.value)


def _shown(entry: SecurityEntry, catalog: SecurityCatalog) -> str:
    token = catalog.token(entry.name) if entry.kind == "token" else None
    return repr(token.name if token is not None else entry.name)
