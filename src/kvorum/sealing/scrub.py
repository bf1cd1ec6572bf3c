"""The scrubber: a walk over all that is stored, without end and without haste.

    pair of records or hints   opened, which proves it whole from the node that sealed it
      does not open            to the quarantine
      of a shredded key        deleted
      of a dropped namespace   deleted; where the namespace is encrypted its keys were shredded
      sealed otherwise         by a key that is retiring, or with an older dictionary: sealed
                               again, and put in the place of the old one
      else                     left as it is

All of it happens in the callback that has read the pair, so no write can come between.

A pass goes once over the whole store, when the journal has been emptied into it. Where one began
after a key was rotated out, and has left no pair under it, the key can go, and so can a dictionary
that is not the newest. First the journal is emptied again, and what was put must be durable, in the
engine's files and not only in its log, for a lost log would bring the old ciphertext back. Where a
key was shredded the files are compacted, so that what it has sealed is gone from there too: also
where the walk met none of it, as the journal may have held it. The same holds for a namespace that
was dropped; `on_removed` is told of those that nothing is left of.

A pass begins at once where a key is retiring or was shredded, or a namespace dropped, else a day
after the last one has ended. Its place is noted in the store as it goes, behind the pairs it has
put, so a restarted node goes on from there:

    b"s"   ->   JSON, see `Pass`

Pace: while clients are served, a portion is followed by a pause that is `_REST` times as
long as the portion took, at least; how much longer, the node's own pace says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from kvorum.documents.storage import ScrubPass, ScrubStatus
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.runtime.ports import Runtime
from kvorum.sealing.seal import NOTE, RECORD, dictionary_of, key_id_of, namespace_of
from kvorum.sealing.vault import Vault
from kvorum.storage.store import Store

INTERVAL_S: Final = 24 * 3600.0
FIRST_AFTER_S: Final = 300.0

PAGE_PAIRS: Final = 64
PAGE_BYTES: Final = 256 << 10
_FIRST_PAIRS: Final = 8
_NOTED_EVERY_PAGES: Final = 32
_RETRY_S: Final = 5.0
_SETTLE_AGAIN_S: Final = 60.0
_REST: Final = 19
_OPENED_LIKE_ONE: Final = 16
"""Opening so many pairs costs about as much as handing one over to another node."""

_START: Final = bytes([RECORD])
_NOTES_START: Final = bytes([NOTE])
_RECORDS_END: Final = bytes([RECORD + 1])
_NOTES_END: Final = bytes([NOTE + 1])
_BOOKMARK: Final = b"s"

OnDamaged = Callable[[bytes, CorruptRecord], object]
Settled = Callable[[StorageError | None], object]


class Volume(msgspec.Struct):
    """What a namespace holds: bytes before and after sealing."""

    pairs: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0


class Pass(msgspec.Struct):
    """One pass: where it is, and what it has come across. `ended_ms`: 0 while it goes on."""

    began_ms: int
    cursor: bytes = _START
    ended_ms: int = 0
    retiring: tuple[int, ...] = ()
    """The keys that were retiring when it began: those it can free."""
    shredded: tuple[int, ...] = ()
    """The same for shredded keys; once it has ended none of their records are left."""
    removing: dict[str, int] = {}
    """The same for dropped namespaces, with the moments of their removals."""
    older: dict[str, tuple[int, ...]] = {}
    """The dictionaries that were not the newest of their namespaces when it began."""
    used: dict[str, set[int]] = {}
    """The dictionaries that pairs it left behind are compressed with."""
    pairs: int = 0
    resealed: int = 0
    damaged: int = 0
    dropped: int = 0
    by_key: dict[int, int] = {}
    """Of the pairs it left behind, how many each data key has sealed; 0 is none."""
    volumes: dict[str, Volume] = {}


class Bookmark(msgspec.Struct):
    """The note: the pass under way or the last one, and the last whole one."""

    current: Pass
    whole: Pass | None = None


class Engine(Protocol):
    """What outlasts what, around the store. Each calls `settled` once, later."""

    def empty(self, settled: Settled, /) -> None:
        """Have what is only in the journal flushed in the store."""

    def flush(self, settled: Settled, /) -> None:
        """Write to the files what is only in the log."""

    def compact(self, settled: Settled, /) -> None:
        """Rewrite the files, so that what was replaced or deleted is gone from them."""


class Scrub:
    """`pause_s(count)`: how long to wait after the work of handing over so many records."""

    __slots__ = (
        "_bookmark",
        "_engine",
        "_interval_s",
        "_on_damaged",
        "_on_failed",
        "_pages",
        "_pause_s",
        "_resumed",
        "_runtime",
        "_settling",
        "_stopped",
        "_store",
        "_timer",
        "_vault",
        "on_deleted",
        "on_removed",
    )

    def __init__(
        self,
        store: Store,
        engine: Engine,
        vault: Vault,
        runtime: Runtime,
        pause_s: Callable[[int], float],
        on_damaged: OnDamaged,
        on_failed: Callable[[StorageError], object],
        interval_s: float = INTERVAL_S,
    ) -> None:
        """`store` is the one below the seal. `on_failed`: the keyring cannot be written."""
        self._on_failed = on_failed
        self.on_removed: Callable[[str, int], object] = _unheard
        """Told of each dropped namespace, and the moment of its removal, once nothing is left."""
        self.on_deleted: Callable[[bytes], object] = _unheard
        """Told of the stored key of each pair that was deleted."""
        self._store = store
        self._engine = engine
        self._vault = vault
        self._runtime = runtime
        self._pause_s = pause_s
        self._on_damaged = on_damaged
        self._interval_s = interval_s
        self._bookmark = _bookmark(store.get(_BOOKMARK))
        # When, and with what fraction done, this life of the node took the pass up.
        self._resumed = (0.0, 0.0)
        self._pages = 0
        self._settling = False
        self._stopped = False
        self._timer: Any = None

    def start(self) -> None:
        """Go on with the pass that was under way, or begin one when it is due."""
        if self._bookmark is not None and self._bookmark.current.ended_ms == 0:
            self._go_on()
        else:
            self._schedule(FIRST_AFTER_S)

    def stop(self) -> None:
        self._stopped = True

    def begin(self) -> None:
        """Begin a pass now; one that is under way begins again."""
        keyring = self._vault.keyring
        began = Pass(
            self._runtime.wall_ms(),
            retiring=tuple(key.id for key in keyring.describe() if key.state == "retiring"),
            shredded=tuple(sorted(keyring.shredded)),
            removing={name.decode(): at for name, at in self._vault.seal.removing.items()},
            older=self._vault.older_dictionaries(),
            used={},
            by_key={},
            volumes={},
        )
        self._bookmark = Bookmark(began, self._whole)
        self._note(_ignore)
        if not self._settling:
            self._go_on()

    @property
    def _whole(self) -> Pass | None:
        return None if self._bookmark is None else self._bookmark.whole

    @property
    def running(self) -> bool:
        return self._bookmark is not None and self._bookmark.current.ended_ms == 0

    def status(self) -> ScrubStatus:
        """`whole` is the last pass that has ended."""
        whole = None if self._whole is None else _shown(self._whole)
        if self._bookmark is not None and self.running:
            fraction = fraction_of(self._bookmark.current.cursor)
            began, had = self._resumed
            gained, elapsed_s = fraction - had, self._runtime.now() - began
            eta_s = None if gained <= 0 else round(elapsed_s / gained * (1 - fraction), 1)
            return ScrubStatus(
                running=True,
                whole=whole,
                **msgspec.structs.asdict(_shown(self._bookmark.current)),
                fraction=round(fraction, 4),
                eta_s=eta_s,
            )
        return ScrubStatus(running=False, whole=whole)

    # When

    def _schedule(self, least_s: float) -> None:
        """The next pass: at once if there is a key to be freed, else when it is due."""
        delay_s = 0.0
        if not self._urgent():
            last = self._whole
            since_s = (self._runtime.wall_ms() - last.ended_ms) / 1000 if last else self._interval_s
            delay_s = min(max(self._interval_s - since_s, least_s), self._interval_s)
        self._later(delay_s, self._begin_if_idle)

    def _urgent(self) -> bool:
        keyring, last = self._vault.keyring, self._whole
        if self._vault.seal.removing or self._unswept(keyring.shredded):
            return True
        # A key that a whole pass could not free is used by what no namespace of today owns.
        tried = set(last.retiring) if last else set()
        return any(key.state == "retiring" and key.id not in tried for key in keyring.describe())

    def _unswept(self, shredded: Iterable[int]) -> bool:
        """True if one of these keys was shredded after the last whole pass had begun."""
        last = self._whole
        return not set(shredded) <= set(last.shredded if last else ())

    def _begin_if_idle(self) -> None:
        if not self.running:
            self.begin()

    def _go_on(self) -> None:
        self._later(0.0, self._empty)

    def _empty(self) -> None:
        if not self._stopped and self._store.failed is None:
            self._settling = True
            self._engine.empty(self._emptied)

    def _emptied(self, error: StorageError | None) -> None:
        assert self._bookmark is not None
        self._settling = False
        if self._stopped or error is not None:
            return  # A store that has failed has told the node.
        self._resumed = (self._runtime.now(), fraction_of(self._bookmark.current.cursor))
        self._later(0.0, self._page)

    def _later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """One thing is waited for at a time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._runtime.call_later(delay_s, callback)

    # A pass

    def _page(self) -> None:
        assert self._bookmark is not None
        if self._stopped or self._store.failed is not None:
            return
        current, began = self._bookmark.current, self._runtime.now()
        if self._store.full:
            self._later(_RETRY_S, self._page)
            return
        try:
            pairs, cursor = self._next(current.cursor)
        except StorageError:
            # What cannot be read is told by whoever wants it; the walk comes back to it.
            self._later(_RETRY_S, self._page)
            return
        before = current.resealed + current.dropped
        for stored_key, sealed in pairs:
            self._meet(current, stored_key, sealed)
        current.cursor = cursor
        if cursor >= _NOTES_END:
            self._walked()
            return
        self._pages += 1
        if self._pages % _NOTED_EVERY_PAGES == 0:
            self._note(_ignore)
        rewritten = current.resealed + current.dropped - before
        pause_s = self._pause_s(1 + rewritten + len(pairs) // _OPENED_LIKE_ONE)
        if pause_s:
            pause_s = max(pause_s, _REST * (self._runtime.now() - began))
        self._later(pause_s, self._page)

    def _next(self, cursor: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """The next pairs, and where to go on; they are fetched a few at a time."""
        end = _RECORDS_END if cursor < _RECORDS_END else _NOTES_END
        pairs: list[tuple[bytes, bytes]] = []
        size, step = 0, _FIRST_PAIRS
        while len(pairs) < PAGE_PAIRS and size < PAGE_BYTES:
            found = self._store.scan(cursor, end, step)
            pairs += found
            if len(found) < step:
                return pairs, _NOTES_START if end == _RECORDS_END else _NOTES_END
            size += sum(len(key) + len(data) for key, data in found)
            cursor = pairs[-1][0] + b"\0"
            step = min(PAGE_PAIRS - len(pairs), max(1, (PAGE_BYTES - size) * len(pairs) // size))
        return pairs, cursor

    def _meet(self, current: Pass, stored_key: bytes, sealed: bytes) -> None:
        current.pairs += 1
        key_id = key_id_of(sealed)
        if self._vault.keyring.is_shredded(key_id) or self._vault.seal.is_removed(
            stored_key, sealed
        ):
            current.dropped += 1
            self._store.delete(stored_key, _ignore, None)
            self.on_deleted(stored_key)
            return
        try:
            key, data = self._vault.seal.open(stored_key, sealed)
        except CorruptRecord as error:
            current.damaged += 1
            self._on_damaged(stored_key, error)
            return
        sealed = self._present(current, stored_key, sealed, key, data)
        key_id = key_id_of(sealed)
        current.by_key[key_id] = current.by_key.get(key_id, 0) + 1
        if dictionary := dictionary_of(sealed):
            current.used.setdefault(namespace_of(key).decode(), set()).add(dictionary)
        volume = current.volumes.setdefault(namespace_of(key).decode(), Volume())
        volume.pairs += 1
        volume.logical_bytes += len(key) + len(data)
        volume.stored_bytes += len(stored_key) + len(sealed)

    def _present(
        self, current: Pass, stored_key: bytes, sealed: bytes, key: bytes, data: bytes
    ) -> bytes:
        """The pair as its namespace is sealed now; it is put if that is not how it is stored."""
        if self._vault.is_present(namespace_of(key), sealed):
            return sealed
        new_key, resealed = self._vault.seal.seal(key, data)
        if new_key != stored_key:
            return sealed  # Encryption was turned on or off: done at start, see resealing.py.
        current.resealed += 1
        self._store.put(stored_key, resealed, _ignore, None)
        return resealed

    # Its end

    def _walked(self) -> None:
        """Every pair is as it should be, once all that was put is in the engine's files."""
        assert self._bookmark is not None
        self._settling = True
        self._note(self._on_log)

    def _on_log(self, _arg: object, error: StorageError | None) -> None:
        """All that the pass has put is in the log."""
        assert self._bookmark is not None
        current = self._bookmark.current
        if error is not None:
            self._settled(error)
        elif current.dropped or current.removing or self._unswept(current.shredded):
            self._engine.compact(self._settled)
        elif current.retiring or _unused(current):
            self._engine.flush(self._settled)
        else:
            self._settled(None)

    def _settled(self, error: StorageError | None) -> None:
        assert self._bookmark is not None
        self._settling = False
        if self._stopped or self._store.failed is not None:
            return
        current = self._bookmark.current
        if current.cursor < _NOTES_END:  # It was begun again.
            self._go_on()
            return
        if error is not None:
            self._later(_SETTLE_AGAIN_S, self._walked)
            return
        try:
            self._retire_unused(current)
            for namespace, dictionary in _unused(current):
                if dictionary in self._vault.dictionaries.ids(namespace):
                    self._vault.forget_dictionary(namespace, dictionary)
        except StorageError as failure:
            self._on_failed(failure)
            return
        for name, before_ms in current.removing.items():
            self.on_removed(name, before_ms)
        current.ended_ms = self._runtime.wall_ms()
        self._bookmark.whole = current
        self._note(self._noted)

    def _retire_unused(self, current: Pass) -> None:
        for key in self._vault.keyring.describe():
            unused = not current.by_key.get(key.id)
            if unused and key.state == "retiring" and key.id in current.retiring:
                self._vault.retire(key.id)

    def _noted(self, _arg: object, error: StorageError | None) -> None:
        if error is None and not self._stopped and not self.running:
            self._schedule(self._interval_s)

    def _note(self, done: Callable[[object, StorageError | None], None]) -> None:
        self._store.put(_BOOKMARK, msgspec.json.encode(self._bookmark), done, None)


def _bookmark(note: bytes | None) -> Bookmark | None:
    """None also for one of another version: then the walk begins anew, which is always safe."""
    try:
        return None if note is None else msgspec.json.decode(note, type=Bookmark)
    except msgspec.DecodeError:
        return None


def _unused(one: Pass) -> list[tuple[str, int]]:
    """The older dictionaries that no pair needs."""
    return [
        (namespace, dictionary)
        for namespace, older in one.older.items()
        for dictionary in older
        if dictionary not in one.used.get(namespace, ())
    ]


def fraction_of(cursor: bytes) -> float:
    """How much of the token space lies before `cursor`. Hints come after all records."""
    if cursor[0] != RECORD:
        return 1.0
    return int.from_bytes(cursor[1:9].ljust(8, b"\0")) / (1 << 64)


def _shown(one: Pass) -> ScrubPass:
    """For people: without what only the scrubber needs."""
    return msgspec.convert(one, ScrubPass, from_attributes=True)


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store reports its failure to the node."""


def _unheard(*_what: object) -> None:
    """Nobody waits for it."""
