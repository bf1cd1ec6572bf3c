"""The data directory: who may use it, and who the node in it is.

    LOCK        locked (flock) while a process uses the directory; holds its pid
    node.json   the node's identity, see `identity.py`; only ever replaced whole
    rocks/      the engine's files

Opening takes the lock, then reads `node.json` or makes one, and leaves it durably marked
unclean. `close` marks it clean; a process that dies, or gives up with `release`, does not.

`rocks/` is made before `node.json`, so a start that was cut short leaves nothing or an
empty `rocks/`. Anything else that is half there has been damaged since, and is refused: data
without identity may not go on under a new one, and an identity without its data may not
answer for what it has forgotten.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from kvorum.model.errors import ConfigError, StorageError
from kvorum.storage.identity import Facts, Identity, decode, encode, first_life


class DataDirectory:
    __slots__ = ("_identity", "_lock", "path")

    def __init__(self, path: Path, lock: int, identity: Identity) -> None:
        self.path = path
        self._lock: int | None = lock
        self._identity = identity

    @classmethod
    def open(cls, path: Path, facts: Facts) -> Self:
        """Begin a life of the node in `path`. Raises ConfigError if that must not be."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(path)
            try:
                identity = _next_identity(path, facts)
                _replace(path / "node.json", encode(identity))
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise ConfigError(
                f"wanted the data directory {path}, got: {error}; make it a directory that "
                "this user may write to, or choose another"
            ) from error
        return cls(path, lock, identity)

    @property
    def rocks_path(self) -> Path:
        return self.path / "rocks"

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
    def past(self) -> Literal["clean", "crashed", "fresh"]:
        """How the last life ended; fresh if there was none."""
        return self._identity.past

    def knew_another(self, node_id: str, name: str) -> bool:
        """True if `name` was last seen with another node id."""
        known = [other for other, last in self._identity.names.items() if last == name]
        return bool(known) and node_id not in known

    def remember(self, node_id: str, name: str) -> None:
        """Note a peer's name, durably. Waits for the disk, so only when it says something new."""
        if self._identity.names.get(node_id) != name:
            self._store(self._identity.knowing(node_id, name))

    def close(self, counter: int) -> None:
        """End this life well: the next one goes on with this actor after `counter`.

        Call it once the store is closed; until then writes may still be lost.
        """
        try:
            self._store(self._identity.stopped_at(counter))
        finally:
            self.release()

    def release(self) -> None:
        """Let others use the directory. Without `close`, the next life is a new actor."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _store(self, identity: Identity) -> None:
        try:
            _replace(self.path / "node.json", encode(identity))
        except OSError as error:
            raise StorageError(f"cannot write {self.path / 'node.json'}: {error}") from error
        self._identity = identity


def _lock(path: Path) -> int:
    """The descriptor that holds the lock; the kernel frees it with the process."""
    lock = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise
        raise ConfigError(
            f"wanted {path} for this process alone, but process {holder} uses it; "
            "stop that one or choose another data directory",
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
    if not rocks.is_dir():
        raise ConfigError(
            f"wanted the data of node {last.facts.node!r} in {rocks}, got no such directory; "
            "restore it, or start on an empty data directory and let the node be repaired"
        )
    return life


def _created(rocks: Path, facts: Facts) -> Identity:
    rocks.mkdir(mode=0o700, exist_ok=True)
    if any(rocks.iterdir()):
        raise ConfigError(
            f"wanted {rocks.parent / 'node.json'} beside the data in {rocks}, got none; restore "
            "it, or start on an empty data directory: a new identity may not answer for old data"
        )
    _sync_directory(rocks.parent.parent)
    return first_life(facts)


def _replace(file: Path, data: bytes) -> None:
    """Put `data` in place of `file` so that at any moment one of the two is there, durably."""
    draft = file.with_name(file.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
    draft.replace(file)
    _sync_directory(file.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
