"""Permissions: what a principal may do, by namespace and key prefix.

    permission   a kind of action (read, write, ...)
    role         a name for permissions, everywhere or in one namespace, for all keys or a prefix
    grant        a role given to somebody, as it is or narrowed to a namespace and a prefix

What a principal holds are grants. It may do what at least one of them allows, and nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.model.field_checks import check_name
from kvorum.model.keys import is_namespace_name

KEY_BYTES_MAX: Final = 1024
PERMISSIONS_MAX: Final = 64


class Permission(StrEnum):
    """A kind of action. The first four concern entries."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    LIST = "list"
    STATUS = "status"
    """Seeing how nodes fare: status, metrics, repairs, settings of namespaces."""
    ADMIN_TOPOLOGY = "admin.topology"
    """Namespaces, repairs, clocks, scrubs."""
    ADMIN_KEYS = "admin.keys"
    ADMIN_BACKUP = "admin.backup"
    """Snapshots, and whole records with their versions, out and in."""
    ADMIN_SECURITY = "admin.security"
    """Roles, users, tokens, revoked certificates."""


OF_ENTRIES: Final = frozenset(
    {Permission.READ, Permission.WRITE, Permission.DELETE, Permission.LIST}
)


class Role(msgspec.Struct, frozen=True, kw_only=True, tag="role"):
    """A role. `namespace`: None for all. `prefix`: of the keys that it concerns; "" for all."""

    name: str
    permissions: tuple[Permission, ...]
    namespace: str | None = None
    prefix: str = ""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A role, narrowed to a namespace (None: as the role says) and to keys with a prefix."""

    role: str
    namespace: str | None = None
    prefix: str = ""


ROLES: Final = {
    role.name: role
    for role in (
        Role(name="reader", permissions=(Permission.READ, Permission.LIST)),
        Role(
            name="writer",
            permissions=(Permission.READ, Permission.WRITE, Permission.DELETE, Permission.LIST),
        ),
        Role(name="monitor", permissions=(Permission.STATUS,)),
        Role(
            name="operator",
            permissions=(Permission.STATUS, Permission.ADMIN_TOPOLOGY, Permission.ADMIN_BACKUP),
        ),
        Role(name="admin", permissions=tuple(Permission)),
    )
}
"""The roles that every cluster has, which nobody can change."""


def narrowed(role: Role, grant: Grant) -> Role | None:
    """What `role` allows where `grant` narrows it; None if nothing is left."""
    if None not in (role.namespace, grant.namespace) and role.namespace != grant.namespace:
        return None
    longer, shorter = sorted((role.prefix, grant.prefix), key=len, reverse=True)
    if not longer.startswith(shorter):
        return None
    return msgspec.structs.replace(role, namespace=role.namespace or grant.namespace, prefix=longer)


def check_role(role: Role) -> None:
    """Raises ConfigError if `role` cannot be."""
    check_name(role.name)
    if role.name in ROLES:
        raise ConfigError(f"The role {role.name!r} is built in. Choose another name.")
    if not role.permissions:
        raise ConfigError(
            f"The role {role.name!r} has no permissions. Give at least one of "
            f"{', '.join(Permission)}."
        )
    check_scope(role.namespace, role.prefix)
    beyond = sorted(set(role.permissions) - OF_ENTRIES)
    if role.prefix and beyond:
        raise ConfigError(
            f"The role {role.name!r} has a prefix, and {beyond[0]} does not concern keys. Leave "
            "out the prefix, or make a role of its own for that permission."
        )


def check_scope(namespace: str | None, prefix: str) -> None:
    """Raises ConfigError if `namespace` is no name, or `prefix` begins no key."""
    if namespace is not None and not is_namespace_name(namespace):
        raise ConfigError(
            f"No namespace can be called {namespace!r}: a name has 1 to 64 letters, digits, '_', "
            "'.', '-', and begins with a letter or digit. Choose another one."
        )
    try:
        size = len(prefix.encode())
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"The prefix {prefix!r} is no text. Give one that keys begin with."
        ) from error
    if size > KEY_BYTES_MAX:
        raise ConfigError(
            f"The prefix has {size} bytes, and keys have at most {KEY_BYTES_MAX}. Give a shorter "
            "one."
        )
