"""The administration of a node: its status, clock, repairs, snapshots, namespaces and keys.

Every call names the principal and raises AccessDenied before it does anything, and what its port
raises (`ports.py`). Jobs go on after they were asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kvorum.documents.data_keys import DataKeys, RotatedKeys, ShreddedNamespace
from kvorum.documents.health import Health, Readiness
from kvorum.documents.location import Location
from kvorum.documents.namespaces import DroppedNamespace, NamespaceDocument, NamespaceList
from kvorum.documents.ring import Ring
from kvorum.documents.snapshot import SnapshotJob, SnapshotList
from kvorum.documents.status import AcceptedClock, Status
from kvorum.documents.storage import Soundness
from kvorum.model.errors import KvorumError, StorageError
from kvorum.service.action import Action
from kvorum.service.latencies import LOCATE
from kvorum.service.ports import (
    HealthChecks,
    Introspection,
    KeyAdmin,
    Metrics,
    Namespaces,
    Repairs,
    Snapshots,
)
from kvorum.service.principal import Principal
from kvorum.service.reply import Reply
from kvorum.service.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What of a node there is to administer."""

    introspection: Introspection
    metrics: Metrics
    health_checks: HealthChecks
    repairs: Repairs
    snapshots: Snapshots
    key_admin: KeyAdmin
    namespaces: Namespaces


class Administration:
    """Administers a node for principals. What is returned are documents."""

    def __init__(self, service: Service, parts: NodeParts) -> None:
        """Under the policy and the admission of `service`."""
        self._service = service
        self._enter = service.access.enter
        self._parts = parts

    # What the node tells of itself

    def status(self, principal: Principal) -> Status:
        """The cluster as this node sees it, and how this node fares."""
        with self._enter(principal, Action.SEE_STATUS):
            return self._parts.introspection.status()

    def metrics(self, principal: Principal, reply: Callable[[bytes | None], object]) -> None:
        """Call `reply` with the metrics of this node, as text in the format of Prometheus; None if
        it could not be made.
        """
        with self._enter(principal, Action.SEE_METRICS):
            self._parts.metrics.write(reply)

    def health(self, principal: Principal) -> Health:
        """Whether the node works at all."""
        with self._enter(principal, Action.SEE_HEALTH):
            return self._parts.health_checks.health()

    def readiness(self, principal: Principal) -> Readiness:
        """Whether requests should be sent to this node now, and why not."""
        with self._enter(principal, Action.SEE_HEALTH):
            return self._parts.health_checks.readiness()

    def ring(self, principal: Principal) -> Ring:
        """How the partitions are shared among the nodes."""
        with self._enter(principal, Action.SEE_RING):
            return self._parts.introspection.ring()

    def locate(
        self, principal: Principal, namespace: str, key: str, reply: Reply[Location]
    ) -> None:
        """Where `key` lives and who holds which version. Raises Overloaded or InvalidKey."""
        with self._enter(principal, Action.LOCATE, namespace, key) as told:
            admission = self._service.admission
            admission.enter()
            reply.let_in(admission, self._service.latencies[LOCATE])
            try:
                self._parts.introspection.locate(namespace, key, told.later(reply.settle))
            except KvorumError:
                admission.leave()
                raise

    def accept_clock(self, principal: Principal) -> AcceptedClock:
        """Take this node's clock for right as it is."""
        with self._enter(principal, Action.ACCEPT_CLOCK):
            return self._parts.introspection.accept_clock()

    # Repairs

    def begin_repair(
        self,
        principal: Principal,
        namespace: str | None,
        partition: int | None,
        key: str | None,
        *,
        full: bool,
    ) -> Any:
        """Of all that is not narrowed down."""
        subject = None if partition is None else f"partition {partition}"
        with self._enter(principal, Action.REPAIR, namespace, key, subject):
            return self._parts.repairs.begin(namespace, partition, key, full=full)

    def repair(self, principal: Principal, number: str) -> Any:
        """How far a repair is. Raises NotFound."""
        with self._enter(principal, Action.SEE_REPAIRS, subject=number):
            return self._parts.repairs.progress(number)

    def repairs(self, principal: Principal) -> Any:
        """The last repairs, and when each partition was last compared."""
        with self._enter(principal, Action.SEE_REPAIRS):
            return self._parts.repairs.overview()

    # Snapshots

    def create_snapshot(self, principal: Principal, name: str | None) -> SnapshotJob:
        """Begin to make a snapshot; without a name it is called by the time."""
        with self._enter(principal, Action.CREATE_SNAPSHOT, subject=name):
            return self._parts.snapshots.begin_create(name)

    def verify_snapshot(self, principal: Principal, name: str) -> SnapshotJob:
        """Begin to read a snapshot and compare it with what was made. Raises NotFound."""
        with self._enter(principal, Action.VERIFY_SNAPSHOT, subject=name):
            return self._parts.snapshots.begin_verify(name)

    def delete_snapshot(self, principal: Principal, name: str) -> SnapshotJob:
        """Begin to delete a snapshot. Raises NotFound."""
        with self._enter(principal, Action.DELETE_SNAPSHOT, subject=name):
            return self._parts.snapshots.begin_delete(name)

    def snapshot(self, principal: Principal, name: str) -> SnapshotJob:
        """How far the last job for it is."""
        with self._enter(principal, Action.SEE_SNAPSHOTS, subject=name):
            return self._parts.snapshots.progress(name)

    def snapshots(self, principal: Principal) -> SnapshotList:
        """The snapshots of this node."""
        with self._enter(principal, Action.SEE_SNAPSHOTS):
            return self._parts.snapshots.list()

    # Namespaces

    def namespaces(self, principal: Principal) -> NamespaceList:
        """All of them, the version of their list, and what is still being deleted."""
        with self._enter(principal, Action.SEE_NAMESPACES):
            return self._parts.namespaces.document()

    def namespace(self, principal: Principal, name: str) -> NamespaceDocument:
        """The settings of one. Raises NamespaceNotFound."""
        with self._enter(principal, Action.SEE_NAMESPACES, name):
            return self._settings(name)

    def set_namespace(
        self, principal: Principal, name: str, fields: dict[str, Any], version: int | None
    ) -> tuple[bool, NamespaceDocument]:
        """Make the namespace, or alter it: whether it was made, and its settings.

        With a `version`, nothing is changed unless the list of namespaces has that one.
        """
        with self._enter(principal, Action.SET_NAMESPACE, name):
            made = self._parts.namespaces.put(name, fields, version)
            return made, self._settings(name)

    def check_namespace(
        self, principal: Principal, name: str, fields: dict[str, Any], version: int | None
    ) -> None:
        """Raises what `set_namespace` would raise."""
        with self._enter(principal, Action.SET_NAMESPACE, name, subject="only checked"):
            self._parts.namespaces.check(name, fields, version)

    def drop_namespace(
        self,
        principal: Principal,
        name: str,
        before_ms: int | None,
        version: int | None,
        reply: Callable[[DroppedNamespace | StorageError], object],
    ) -> None:
        """End it, with all that was written to it until `before_ms`."""

        def dropped(error: StorageError | None) -> None:
            version = self._parts.namespaces.catalog.version
            reply(error or DroppedNamespace(namespace=name, version=version))

        with self._enter(principal, Action.DROP_NAMESPACE, name) as told:
            self._parts.namespaces.drop(name, before_ms, version, told.later(dropped))

    def _settings(self, name: str) -> NamespaceDocument:
        catalog = self._parts.namespaces.catalog
        return NamespaceDocument(
            namespace=name, version=catalog.version, settings=catalog.settings(name)
        )

    # Keys, and the records that they seal

    def keys(self, principal: Principal) -> DataKeys:
        """The data keys of this node."""
        with self._enter(principal, Action.SEE_KEYS):
            return self._parts.key_admin.keys()

    def rotate_keys(self, principal: Principal, namespace: str | None) -> RotatedKeys:
        """New keys, for all namespaces if none is named."""
        with self._enter(principal, Action.ROTATE_KEYS, namespace):
            return self._parts.key_admin.rotate(namespace)

    def shred(
        self, principal: Principal, namespace: str, before_ms: int | None
    ) -> ShreddedNamespace:
        """Destroy the keys of `namespace`."""
        with self._enter(principal, Action.SHRED_NAMESPACE, namespace):
            return self._parts.key_admin.shred(namespace, before_ms)

    def scrub_status(self, principal: Principal) -> Soundness:
        """How far the walk over stored records is, and what is damaged."""
        with self._enter(principal, Action.SEE_SCRUB):
            return self._parts.key_admin.status()

    def scrub(self, principal: Principal) -> Soundness:
        """Begin the walk over stored records now."""
        with self._enter(principal, Action.SCRUB):
            return self._parts.key_admin.scrub()
