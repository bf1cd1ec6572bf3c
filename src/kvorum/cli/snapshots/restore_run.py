"""A restore under way: the merged records of snapshots, on their way into a cluster.

    as they are    with their versions, so they merge with what the cluster has
    anew           as plain writes, which win over it; one namespace after another, because a
                   list of writes has one

Where it is, is noted every second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from kvorum.backup.reading import FoundRecord, SnapshotReader, merged
from kvorum.cli.entries.checkpoint import Progress
from kvorum.cli.entries.entry_import import Import, Plan
from kvorum.cli.entries.entry_lines import Item, Lines, Place, Reject, Timed
from kvorum.cli.entries.record_store import Placed, RecordStore
from kvorum.cli.errors import NEXT_STEP
from kvorum.cli.moments import now_ms
from kvorum.cli.progress import Bar, progress_bar, share_bar
from kvorum.cli.snapshots.restore_position import RestorePosition, Task
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.record_requests import PortableRecord
from kvorum.client.requests import Lifetime
from kvorum.client.url import Target
from kvorum.documents.reading import read
from kvorum.model.errors import ConfigError, KvorumError, NamespaceNotFound
from kvorum.model.expiry import NEVER
from kvorum.model.portable_record import to_portable
from kvorum.model.record import BINARY, Version

SAVE_EVERY_S: Final = 1.0
"""How much work a killed restore repeats at most."""

_STEPS: Final = 10_000
_PLACE_BYTES: Final = 9


class Job(NamedTuple):
    """`target.namespace`: restore only this one. `snapshots`: the MAC of each manifest."""

    target: Target
    name: str
    readers: list[SnapshotReader]
    snapshots: list[str]
    position_path: Path
    resume: bool
    w: int | None
    give_up_after: float

    @property
    def namespaces(self) -> list[str]:
        if self.target.namespace is not None:
            return [self.target.namespace]
        return sorted(set().union(*(reader.namespaces for reader in self.readers)))

    def position(self, cluster: _Cluster, *, renew: bool) -> RestorePosition:
        task = Task(sorted(self.snapshots), cluster.identity, self.target.namespace, renew)
        return RestorePosition(self.position_path, task)


class _Node(msgspec.Struct):
    http: str


class _Cluster(msgspec.Struct):
    """What it is restored into."""

    cluster: str
    nodes: list[_Node]
    namespaces: dict[str, Any]

    @property
    def identity(self) -> list[str]:
        return [self.cluster, *sorted(node.http for node in self.nodes)]


async def store_as_they_are(job: Job) -> int:
    """How many records were stored."""
    async with AsyncClient(job.target) as client:
        position = job.position(await _cluster_of(client, job), renew=False)
        after, stored = position.begin(resume=job.resume)
        with share_bar(f"restore {job.name}", _STEPS) as bar:
            watch = _Watch(position, bar, after, stored)
            work = RecordStore(client, job.w, job.give_up_after, watch.on_stored)
            with watch.interruptible():
                await work.run(_portable(job, after))
    position.remove()
    return watch.stored


async def store_anew(job: Job) -> int:
    """How many entries were stored."""
    async with AsyncClient(job.target) as client:
        position = job.position(await _cluster_of(client, job), renew=True)
    after, stored = position.begin(resume=job.resume)
    first, offset = _Pass.parse(after)
    with progress_bar(f"restore {job.name}", None) as bar:
        watch = _Watch(position, bar, after, stored)
        for namespace in job.namespaces:
            if namespace < first:
                continue
            start = Progress(offset, 0) if namespace == first else Progress()
            with watch.interruptible():
                await _store_namespace(job, namespace, start, watch)
    position.remove()
    return watch.stored


async def _store_namespace(job: Job, namespace: str, start: Progress, watch: _Watch) -> None:
    before = watch.stored

    def on_progress(done: Progress) -> None:
        watch.at(_Pass(namespace, done.offset).to_bytes(), before + done.stored)

    def on_reject(line: Reject) -> None:
        raise ConfigError(f"wanted to restore every entry, got one refused: {line.reason}")

    async with AsyncClient(replace(job.target, namespace=namespace)) as client:
        plan = Plan(job.w, job.give_up_after)
        work = Import(client, plan, start, on_reject, on_progress, now_ms)
        await work.run(_entries(job, namespace, start.offset))


class _Pass(NamedTuple):
    """How far writing anew is: in which namespace, and how many bytes into it."""

    namespace: str
    offset: int

    def to_bytes(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, data: bytes) -> _Pass:
        """Raises ConfigError."""
        if not data:
            return cls("", 0)
        try:
            return cls(*msgspec.json.decode(data, type=tuple[str, int]))
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"wanted a namespace and an offset as the position of a restore, got {data!r}; "
                "leave out --resume"
            ) from error


class _Watch:
    """Shows how far a restore is, and notes it."""

    def __init__(self, position: RestorePosition, bar: Bar, done: bytes, stored: int) -> None:
        self.stored = stored
        self._done = done
        self._position = position
        self._bar = bar
        self._saved_at = time.monotonic()

    def on_stored(self, done: bytes, more: int) -> None:
        self.at(done, self.stored + more)

    def at(self, done: bytes, stored: int) -> None:
        self._done, self.stored = done, stored
        self._bar.show(steps_to(done), stored)
        if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
            self._save()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._save()
            if isinstance(error, KvorumError):
                error.details[NEXT_STEP] = (
                    f"{self.stored} records are stored, and --resume goes on behind them"
                )
            raise

    def _save(self) -> None:
        self._position.save(self._done, self.stored)
        self._saved_at = time.monotonic()


def steps_to(place: bytes) -> int:
    """How many of _STEPS are done at `place`, a letter and eight bytes of a token: records come in
    the order of their tokens, which are spread evenly, so nobody need have counted them."""
    if len(place) != _PLACE_BYTES:
        return 0
    return int.from_bytes(place[1:]) * _STEPS >> 64


async def _cluster_of(client: AsyncClient, job: Job) -> _Cluster:
    """Raises NamespaceNotFound if it lacks one of the snapshot's."""
    cluster = read(await client.status(), _Cluster)
    missing = [name for name in job.namespaces if name not in cluster.namespaces]
    if missing:
        raise NamespaceNotFound(
            f"wanted a cluster with the snapshot's namespaces, got one without "
            f"{', '.join(missing)}; declare them in its cluster file, or restore the others one "
            "by one with --namespace"
        )
    return cluster


def _found(job: Job, after: bytes) -> Iterator[FoundRecord]:
    wanted = job.target.namespace
    for found in merged(job.readers, after):
        if wanted is None or found.namespace == wanted:
            yield found


def _portable(job: Job, after: bytes) -> Iterator[Placed]:
    for done, namespace, key, record in _found(job, after):
        data = to_portable(key, record)
        yield Placed(done, PortableRecord(key, data, namespace))


def _entries(job: Job, namespace: str, offset: int) -> Lines:
    """The entries of a namespace that end behind `offset`, in bytes of values so far."""
    end = 0
    for number, found in enumerate(_found(job, b"")):
        versions = found.record.live_versions()
        if found.namespace != namespace or not versions:
            continue
        end += sum(len(version.value) + 1 for version in versions)
        if end > offset:
            latest, *others = map(_timed, versions)
            siblings = (latest, *others) if others else ()
            place = Place(end, number)
            yield Item(number, place, found.key, latest.value, siblings, latest.lifetime)


def _timed(version: Version) -> Timed:
    value = version.value if version.kind == BINARY else msgspec.Raw(version.value)
    # What was to live for ever does so, whatever the namespace's default has become.
    return Timed(value, Lifetime(None, version.expires) if version.expires else Lifetime(NEVER))
