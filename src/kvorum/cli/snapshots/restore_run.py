"""A restore under way: the merged records of snapshots, on their way into a cluster.

as they are    with their versions, so they merge with what the cluster has
anew           as plain writes, which win over it
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from kvorum.backup.reading import FoundRecord, SnapshotReader, merged
from kvorum.cli.bulk.entry_sink import EntrySink
from kvorum.cli.bulk.items import START, Item, Place, RecordItem, Reject, Timed, Value
from kvorum.cli.bulk.pipeline import Limits
from kvorum.cli.bulk.position import PositionFile, Task
from kvorum.cli.bulk.record_sink import RecordSink
from kvorum.cli.bulk.run import store_all
from kvorum.cli.bulk.watch import Watch
from kvorum.cli.moments import now_ms
from kvorum.cli.progress import share_bar
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.record_requests import PortableRecord
from kvorum.client.requests import Lifetime
from kvorum.client.url import Target
from kvorum.client.values import TypedBytes
from kvorum.documents.node import Members
from kvorum.documents.reading import read
from kvorum.model.errors import ConfigError, NamespaceNotFound
from kvorum.model.expiry import NEVER
from kvorum.model.keys import storage_key
from kvorum.model.portable_record import to_portable
from kvorum.model.record import BINARY, TYPED, Version
from kvorum.model.typed_value import split_type
from kvorum.runtime.loop import run

_STEPS: Final = 10_000
_TOKEN: Final = slice(1, 9)
"""Where in a place of a snapshot the token's first eight bytes are."""


class Job(NamedTuple):
    """A restore. `target.namespace`: only of this one. `snapshots`: the MAC of each manifest."""

    target: Target
    name: str
    readers: list[SnapshotReader]
    snapshots: list[str]
    position_path: Path
    resume: bool
    renew: bool
    w: int | None
    limits: Limits
    as_json: bool

    @property
    def namespaces(self) -> list[str]:
        """The names of those that are restored."""
        if self.target.namespace is not None:
            return [self.target.namespace]
        return sorted(set().union(*(reader.namespaces for reader in self.readers)))

    def position(self, cluster: list[str]) -> PositionFile:
        """Of a restore into the cluster of that name and those addresses."""
        namespace = self.target.namespace
        options = [
            "no --namespace" if namespace is None else f"--namespace {namespace}",
            "--renew" if self.renew else "no --renew",
        ]
        task = Task("a restore", "records", options, cluster)
        digest = hashlib.blake2b("\n".join(sorted(self.snapshots)).encode(), digest_size=16)
        return PositionFile(self.position_path, task, lambda _: digest.hexdigest(), "--position")


class _Cluster(Members, frozen=True, kw_only=True):
    """What it is restored into."""

    cluster: str
    namespaces: dict[str, Any]


def restore_records(job: Job) -> int:
    """Restore all; returns how many records (or entries, if written anew) were stored. Raises
    NamespaceNotFound, ConfigError, Interrupted, or what the cluster says."""
    position = job.position(run(_cluster_of(job)))
    done = position.begin(resume=job.resume)
    with share_bar(f"restore {job.name}", _STEPS) as bar:
        watch = Watch(done, bar, steps_to, _refuse, position, as_json=job.as_json)
        client = AsyncClient(job.target)
        if job.renew:
            entries = EntrySink(client, job.w, now_ms)
            done = store_all(client, entries, _entries(job, done.place), job.limits, watch)
        else:
            records = RecordSink(client, job.w)
            done = store_all(client, records, _records(job, done.place), job.limits, watch)
    return done.stored


def steps_to(place: Place) -> int:
    """How many of _STEPS are done at `place`, by its token: tokens are spread evenly."""
    return place.offset * _STEPS >> 64


def _refuse(line: Reject) -> None:
    raise ConfigError(f"An entry of the snapshot was refused, and the restore ended: {line.reason}")


async def _cluster_of(job: Job) -> list[str]:
    """Its name and its addresses. Raises NamespaceNotFound if it lacks one of the snapshot's."""
    async with AsyncClient(job.target) as client:
        cluster = read(await client.status(), _Cluster)
    missing = [name for name in job.namespaces if name not in cluster.namespaces]
    if missing:
        raise NamespaceNotFound(
            f"The cluster lacks namespaces of the snapshot: {', '.join(missing)}. Create them with "
            "'kvorum namespace create', or restore the others one by one with --namespace."
        )
    return [cluster.cluster, *sorted(node.http for node in cluster.nodes)]


def _found(job: Job, after: Place) -> Iterator[tuple[Place, FoundRecord]]:
    """The records behind `after`, each with the place up to which all have been read then."""
    wanted = job.target.namespace
    line = after.line
    begin = b"" if after == START else storage_key(after.offset.to_bytes(8), "", b"")[: _TOKEN.stop]
    for found in merged(job.readers, begin):
        if wanted is None or found.namespace == wanted:
            line += 1
            token = int.from_bytes(found.done[_TOKEN])
            yield Place(token, line) if found.done else START, found


def _records(job: Job, after: Place) -> Iterator[RecordItem]:
    for place, found in _found(job, after):
        data = to_portable(found.key, found.record)
        yield RecordItem(place, PortableRecord(found.key, data, found.namespace))


def _entries(job: Job, after: Place) -> Iterator[Item]:
    for place, found in _found(job, after):
        versions = found.record.live_versions()
        if versions:
            latest, *others = map(_timed, versions)
            siblings = (latest, *others) if others else ()
            value, lifetime = latest
            yield Item(place.line, place, found.key, value, siblings, lifetime, found.namespace)


def _timed(version: Version) -> Timed:
    # What was to live for ever does so, whatever the namespace's default has become.
    lifetime = Lifetime(None, version.expires) if version.expires else Lifetime(NEVER)
    return Timed(_value(version), lifetime)


def _value(version: Version) -> Value:
    if version.kind == TYPED:
        media_type, body = split_type(version.value)
        return TypedBytes(body, media_type)
    return version.value if version.kind == BINARY else msgspec.Raw(version.value)
