"""Lives of a node's local store on a real disk, turned by hand, with a clock that stands still."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from kvorum.local_store import Holding, LocalStore
from kvorum.model.catalog import Catalog
from kvorum.model.errors import KvorumError, StorageError
from kvorum.model.record import Event, Record, Version, encode
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology
from kvorum.runtime.inline import InlineRuntime
from kvorum.sealing.seal import namespace_of
from kvorum.storage.budget import MEMORY_MIN
from kvorum.storage.file_work import InlineFileWork
from kvorum.storage.log_file import ENTRY_BYTES
from kvorum.storage.log_recovery import Recovered
from kvorum.storage.space import RESERVE
from kvorum.storage.syncer import NoSyncer, Syncers

ALL: Final = ((b"d", b"e"), (b"h", b"i"))
MANY: Final = 1 << 20
NOW_MS: Final = 1_795_000_000_000
TICK_S: Final = 0.05
KEPT_BYTES: Final = 2 << 20
MEMORY: Final = MEMORY_MIN + KEPT_BYTES
"""So many bytes of it may be promised to what is kept in memory."""

Pairs = dict[bytes, bytes]


def settings(**changes: Any) -> NamespaceSettings:
    return NamespaceSettings(replicas=1, read=1, write=1, **changes)


NAMESPACES: Final = {
    "default": settings(),
    "plain": settings(compression="off"),
    "open": settings(encryption="off"),
}


def record_key(token: int, namespace: str, name: str = "name") -> bytes:
    return b"d" + token.to_bytes(8) + namespace.encode() + b"\0" + name.encode()


def hint_key(record: bytes, node: str = "n2") -> bytes:
    return b"h" + node.encode() + b"\0" + record


def record_of(key: bytes, value: str, made_ms: int = NOW_MS) -> bytes:
    dot = Event(7, 1, made_ms)
    return encode(key, Record((dot,), (Version(dot, 1, value.encode()),)))


class Clock(InlineRuntime):
    """Its time goes on when the test says so."""

    def __init__(self, passed_s: float) -> None:
        super().__init__()
        self.passed_s = passed_s
        self.now = lambda: self.passed_s

    def wall_ms(self) -> int:
        return NOW_MS + int(self.passed_s * 1000)


MakeSyncers = Callable[[Clock], Syncers]


def _nobody_waits(clock: Clock) -> Syncers:
    return Syncers(NoSyncer(clock.call_soon), NoSyncer(clock.call_soon))


class Life:
    """What it has been given and acknowledged is `wanted`."""

    def __init__(
        self,
        path: Path,
        namespaces: dict[str, NamespaceSettings] = NAMESPACES,
        began_s: float = 0.0,
        *,
        own_catalog: bool = False,
        syncers: MakeSyncers = _nobody_waits,
    ) -> None:
        self.path = path
        self.clock = Clock(began_s)
        self.failures: list[StorageError] = []
        node = NodeSpec(name="n1", http="127.0.0.1:7400")
        self.parts = LocalStore(
            Topology(cluster="test", nodes=(node,), namespaces=namespaces),
            0,
            Holding(path, memory=MEMORY, own_catalog=own_catalog),
            self.clock,
            syncers(self.clock),
            self.failures.append,
        )
        self.unlocked: list[KvorumError | None] = []
        self.wanted: Pairs = {}
        self.acknowledged = 0
        try:
            self.parts.unlock(self.unlocked.append)
            self.wait(lambda: bool(self.unlocked))
        except BaseException as error:
            self.parts.release()
            raise AssertionError("a callback of the runtime must not raise") from error
        if self.unlocked[0] is not None:
            self.parts.release()
            raise self.unlocked[0]

    # What a node does

    def put(self, key: bytes, value: str = "value") -> None:
        """A record, or a hint about one, which has 16 bytes."""
        if key[:1] == b"d":
            data = record_of(key, value, self.clock.wall_ms())
        else:
            data = value.encode().ljust(16)
        self.parts.store.put(key, data, self._done, None)
        self.wanted[key] = data

    def delete(self, key: bytes) -> None:
        self.parts.store.delete(key, self._done, None)
        self.wanted.pop(key, None)

    def _done(self, _arg: object, error: StorageError | None) -> None:
        assert error is None
        self.acknowledged += 1

    def change(self, new: Catalog) -> None:
        """Go over to other namespaces, as a node does."""
        old = self.parts.catalog
        self.parts.namespaces.check(new)
        self.parts.namespaces.commit(new, self.clock.wall_ms())
        self.parts.namespaces.change(old, new)

    def create(self, name: str, **changes: Any) -> None:
        self.change(self.parts.catalog.creating(name, settings(**changes), 1))

    def drop(self, name: str) -> None:
        self.change(self.parts.catalog.dropping(name))
        for key in [key for key in self.wanted if namespace_of(key) == name.encode()]:
            del self.wanted[key]

    def tend(self) -> None:
        files = InlineFileWork(self.parts.rocks, self.clock.call_soon)
        self.key_admin, self.scrub = self.parts.tend(files, _no_pause, _unheard)

    def scrubbed(self) -> None:
        """Until no pass is under way."""
        self.wait(lambda: not self.scrub.running)

    # Time

    def turn(self) -> None:
        """All that has been written is durable; nothing is flushed."""
        self.clock.turn()
        assert self.failures == []

    def tick(self) -> None:
        self.clock.passed_s += TICK_S
        self.turn()

    def wait(self, condition: Callable[[], bool], ticks: int = 2000) -> None:
        self.turn()
        for _ in range(ticks):
            if condition():
                return
            self.tick()
        raise AssertionError(f"still not so after {ticks} ticks")

    def flushed(self) -> None:
        """Until all has been flushed that was written."""
        self.wait(lambda: self.entries() == [])

    # What there is

    def contents(self, limit: int = MANY) -> Pairs:
        """All that can be seen, which must come in order, and as `get` has it."""
        store = self.parts.store
        found: list[tuple[bytes, bytes]] = []
        for start, end in ALL:
            while page := store.scan(start, end, limit):
                found += page
                start = page[-1][0] + b"\0"
        keys = [key for key, _ in found]
        assert keys == sorted(set(keys))
        for key, value in found:
            assert store.get(key) == value
        return dict(found)

    def entries(self) -> list[int]:
        """The numbers of the journal's entries, but for those that are not needed any more."""
        return [found.number for _, found in self._log().entries]

    def place_of(self, number: int) -> tuple[Path, int, int]:
        """Where the text of an entry lies: in which file, from where on, and how many bytes."""
        file, found = next(place for place in self._log().entries if place[1].number == number)
        return file.path, found.at + ENTRY_BYTES, found.length

    def _log(self) -> Recovered:
        """What a life after this one would find, if it began now."""
        return Recovered(self.parts.directory.journal_path)

    def stored(self) -> Pairs:
        """All that the seal lets the engine see."""
        return dict(self.parts.rocks.scan(b"\0", b"\xff", MANY))

    # Its end

    def stop(self) -> None:
        self.parts.close(0)

    def crash(self, to: Path) -> Path:
        """The directory as a crash of the process leaves it just now; this life goes on."""
        while True:
            before = self._engine_files()
            try:
                shutil.copytree(self.path, to, ignore=shutil.ignore_patterns(RESERVE))
                if self._engine_files() == before:
                    return to
            except shutil.Error:
                """The engine's threads have removed a file meanwhile."""
            shutil.rmtree(to)

    def _engine_files(self) -> dict[str, int]:
        """What the engine's threads change when they have made files, or may remove some."""
        rocks = self.parts.directory.rocks_path
        return {file.name: file.stat().st_size for file in rocks.glob("MANIFEST-*")}


@contextmanager
def life(
    path: Path, namespaces: dict[str, NamespaceSettings] = NAMESPACES, **options: Any
) -> Iterator[Life]:
    """Ends well, if nothing is raised."""
    one = Life(path, namespaces, **options)
    try:
        yield one
    except BaseException:
        one.parts.release()
        raise
    one.stop()


def files_with(path: Path, words: tuple[bytes, ...]) -> list[str]:
    """Which files below `path` show one of `words`."""
    return [
        str(file.relative_to(path))
        for file in sorted(path.rglob("*"))
        if file.is_file() and any(word in file.read_bytes() for word in words)
    ]


def _no_pause(_count: int) -> float:
    return 0.0


def _unheard() -> None:
    """Nobody counts."""
