"""The data directory: who may use it, and who the node in it is.

    RESERVE     room that is given up when the disk is full, see `space.py`
    RESERVE.files/  files that are given up when the inodes are used up, see `inodes.py`
    LOCK        locked (flock) while a process uses the directory; holds its pid. It also shows
                whether the directory is still the same, see `directory_watch.py`
    node.json   the node's identity, see `identity.py`; only ever replaced whole
    rocks/      the engine's files
    journal/    the journal's log, see `log_files.py`
    audit/      the audit log, if the node keeps one

Opening takes the lock, then reads `node.json` or makes one, and leaves it durably marked
unclean. `close` marks it clean; a process that dies, or gives up with `release`, does not.

`rocks/` is made before `node.json`, and the engine's files after it. A start that was cut
short leaves nothing, an empty `rocks/`, or an identity that says that no engine was ever there
(`founded`). Anything else that is half there has been damaged since, and is refused: data
without identity may not go on under a new one, and an identity without its data may not
answer for what it has forgotten.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import msgspec

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.topology import naming
from kvorum.storage import durable_file
from kvorum.storage.directory_watch import LOCK, DirectoryWatch
from kvorum.storage.engine import CURRENT
from kvorum.storage.identity import Facts, Identity, decode, encode, first_life
from kvorum.storage.space import Space

_log = logging.getLogger(__name__)

_START_BYTES: Final = 1 << 20
"""For the identity, and what the engine writes when it starts without a log."""


class DataDirectory:
    """A data directory that this process holds, from `open` to `close` or `release`."""

    __slots__ = ("_identity", "_lock", "path", "space", "watch")

    def __init__(self, path: Path, lock: int, identity: Identity, space: Space) -> None:
        self.path = path
        """Absolute: it leads there also when the process has changed its working directory."""
        self.space = space
        self.watch = DirectoryWatch(path, lock)
        self._lock: int | None = lock
        self._identity = identity

    @classmethod
    def open(cls, path: Path, facts: Facts) -> Self:
        """Begin a life of the node in `path`. Raises ConfigError if that must not be."""
        path = path.absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_no_cluster(path)
            lock = _lock(path)
            try:
                space = Space(path)
                space.make_room(_START_BYTES + _log_bytes(path / "rocks"))
                identity = _next_identity(path, facts)
                durable_file.replace(path / "node.json", encode(identity))
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise ConfigError(
                f"The data directory {path} cannot be used: {error}. Make it a directory that this "
                "user may write to, or choose another."
            ) from error
        return cls(path, lock, identity, space)

    @staticmethod
    def check(path: Path, facts: Facts) -> None:
        """Raises ConfigError if `path` is the data directory of another node. Changes nothing."""
        file = path / "node.json"
        try:
            stored = file.read_bytes()
        except OSError:
            return  # `open` says what is wrong, if anything is
        with naming(str(file)):
            decode(stored).check_facts(facts)

    @property
    def rocks_path(self) -> Path:
        return self.path / "rocks"

    @property
    def journal_path(self) -> Path:
        return self.path / "journal"

    @property
    def node_id(self) -> str:
        return self._identity.node_id

    @property
    def incarnation(self) -> int:
        return self._identity.incarnation

    @property
    def actor(self) -> int:
        return self._identity.actor

    @property
    def counter(self) -> int:
        """The last counter this actor used before this life began."""
        return self._identity.counter

    @property
    def names(self) -> Mapping[str, str]:
        """The address book: node id to the name its node last had."""
        return MappingProxyType(self._identity.names)

    @property
    def crashed(self) -> bool:
        """True if the last life did not end well: it may have forgotten what was not synced."""
        return self._identity.crashed

    @property
    def forgot(self) -> bool:
        """True if the store may lack writes that this node had acknowledged."""
        return self._identity.forgot

    @property
    def journaled(self) -> bool:
        """True if the journal's log has had an entry, so that it has at least one."""
        return self._identity.journaled

    @property
    def newest(self) -> int:
        """The number of an entry that the journal's log cannot be without; 0 if none is known."""
        return self._identity.newest

    def forget(self, why: str) -> None:
        """Note durably that the store will lack writes: the engine drops them next."""
        self._store(self._identity.without_memory())
        _log.error(
            "The data in %s is incomplete (%s): acknowledged writes may be lost. The node "
            "answers for none until it has compared its data with the other nodes', and a node "
            "that is alone goes on with what is left.",
            self.path,
            why.removesuffix("."),
        )

    def founded(self) -> None:
        """Note durably that the engine's files are there: it may make no others in their place."""
        if not self._identity.founded:
            self._store(msgspec.structs.replace(self._identity, founded=True))

    def began_journal(self) -> None:
        """Note durably that the journal's log has an entry."""
        if not self._identity.journaled:
            self._store(msgspec.structs.replace(self._identity, journaled=True))

    def noted_loss(self) -> None:
        """The store itself says by now that it may lack writes."""
        self._store(msgspec.structs.replace(self._identity, forgot=False))

    def knew_another(self, node_id: str, name: str) -> bool:
        """True if `name` was last seen with another node id."""
        known = [other for other, last in self._identity.names.items() if last == name]
        return bool(known) and node_id not in known

    def remember(self, node_id: str, name: str) -> None:
        """Note a peer's name, durably. Waits for the disk, so only when it says something new."""
        if self._identity.names.get(node_id) != name:
            self._store(self._identity.knowing(node_id, name))

    def close(self, counter: int, newest: int) -> None:
        """End this life well: the next one goes on with this actor after `counter`, and finds the
        journal's log with all entries up to the one that is its `newest`.

        Call it once the store is closed; until then writes may still be lost.
        """
        try:
            self._store(self._identity.stopped_at(counter, newest))
        finally:
            self.release()

    def release(self) -> None:
        """Let others use the directory. Without `close`, the next life is a new actor."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _store(self, identity: Identity) -> None:
        self.watch.look()
        try:
            durable_file.replace(self.path / "node.json", encode(identity))
        except OSError as error:
            raise StorageError(f"{self.path / 'node.json'} cannot be written: {error}.") from error
        self._identity = identity


def _log_bytes(rocks: Path) -> int:
    """What the engine writes to sorted files when it starts, at most."""
    return sum(log.stat().st_size for log in rocks.glob("*.log"))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """For work on the directory of a stopped node. Raises ConfigError if a process uses it."""
    try:
        lock = _lock(path)
    except OSError as error:
        raise ConfigError(
            f"The data directory {path} cannot be used: {error}. Name the one of a stopped node."
        ) from error
    try:
        yield
    finally:
        os.close(lock)


def _lock(path: Path) -> int:
    """The descriptor that holds the lock; the kernel frees it with the process."""
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise
        raise ConfigError(
            f"The data directory {path} is in use by process {holder}. Stop that one, or choose "
            "another data directory.",
            pid=holder,
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())
    return lock


def _next_identity(path: Path, facts: Facts) -> Identity:
    rocks = path / "rocks"
    file = path / "node.json"
    try:
        stored = file.read_bytes()
    except FileNotFoundError:
        return _created(rocks, facts)
    try:
        last = decode(stored)
        last.check_facts(facts)
        life = last.next_life()
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", **error.details) from error
    missing = rocks if not rocks.is_dir() else rocks / CURRENT
    if not missing.exists() and (last.founded or missing is rocks):
        raise ConfigError(
            f"The data of node {last.facts.node!r} is incomplete: {missing} is missing. Restore "
            "it, or give the node its data again: from the other nodes with 'kvorum rebuild', else "
            "from a snapshot."
        )
    return life


def _check_no_cluster(path: Path) -> None:
    """Raises ConfigError if `path` is no node's directory, but the one above those of nodes."""
    nodes = sorted(file.parent.name for file in path.glob("*/node.json"))
    if nodes and not (path / "node.json").exists():
        raise ConfigError(
            f"{path} is no node's data directory: it holds those of {', '.join(nodes)}. Start them "
            f"together with 'kvorum up --data-dir {path}', or choose another directory."
        )


def _created(rocks: Path, facts: Facts) -> Identity:
    rocks.mkdir(mode=0o700, exist_ok=True)
    if any(rocks.iterdir()):
        raise ConfigError(
            f"There is data in {rocks}, and no {rocks.parent / 'node.json'} beside it. Restore "
            "that file, or start on an empty data directory: a new identity may not answer for old "
            "data."
        )
    durable_file.sync_directory(rocks.parent.parent)
    return first_life(facts)
