"""Actions: what a request does, as far as permission is concerned."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kvorum.model.request import Delete, Get, Put, Request, Touch


class Action(StrEnum):
    """Each is allowed by itself. Those of the first two groups concern one namespace."""

    # One key
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    LOCATE = "locate"
    IMPORT_RECORDS = "import_records"
    """Storing records with the versions that they bring."""

    # A namespace
    SCAN = "scan"
    EXPORT_RECORDS = "export_records"

    # The node, and what it keeps
    SEE_STATUS = "see_status"
    SEE_METRICS = "see_metrics"
    SEE_HEALTH = "see_health"
    SEE_RING = "see_ring"
    ACCEPT_CLOCK = "accept_clock"
    SEE_REPAIRS = "see_repairs"
    REPAIR = "repair"
    SEE_SNAPSHOTS = "see_snapshots"
    CREATE_SNAPSHOT = "create_snapshot"
    VERIFY_SNAPSHOT = "verify_snapshot"
    DELETE_SNAPSHOT = "delete_snapshot"
    SEE_KEYS = "see_keys"
    ROTATE_KEYS = "rotate_keys"
    SEE_NAMESPACES = "see_namespaces"
    SET_NAMESPACE = "set_namespace"
    """Making one, or altering its settings."""
    DROP_NAMESPACE = "drop_namespace"
    SHRED_NAMESPACE = "shred_namespace"
    SEE_SCRUB = "see_scrub"
    SCRUB = "scrub"

    # Who may do what
    SEE_SELF = "see_self"
    SEE_SECURITY = "see_security"
    CHANGE_SECURITY = "change_security"
    """Tokens, users, roles and revoked certificates."""


ACTION_OF: Final[dict[type[Request], Action]] = {
    Get: Action.READ,
    Put: Action.WRITE,
    Touch: Action.WRITE,
    Delete: Action.DELETE,
}
"""A kind of request that is not in here cannot be made."""
