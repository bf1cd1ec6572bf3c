"""The scrubber: a background walk over all stored pairs, again and again.

    pair of records or hints   is opened, which verifies it
      does not open            goes to the quarantine
      of a shredded key        is deleted
      of a dropped namespace   is deleted; if it was encrypted its keys were shredded
      sealed otherwise         with a retiring key or an older dictionary: is resealed in place
      else                     stays as it is

All of that happens in the callback that has read the pair, so no write can come between.

A pass is one walk over the store, and begins with emptying the journal into the store. If it began
after a key was rotated out and has left no pair sealed with it, the key can be retired; likewise a
dictionary that is not the newest. Before that, the journal is emptied again and the engine's log is
flushed to its files, since a lost log would bring the old ciphertext back. If a key was shredded or
a namespace dropped, the files are compacted, so that the old pairs are gone from them; also if the
walk has met none, as the journal may have held them. Then `on_removed` is told of the namespaces of
which nothing is left.

A pass begins at once if a key is retiring or was shredded or a namespace was dropped, else a day
after the end of the last one. Its position is noted in the store, behind the pairs that it has put
(`scrub_pass.py`).

Pace: while clients are served, each page is followed by a pause of at least `_REST` times the
page's duration, or longer, as the node's pace asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from kvorum.documents.storage import ScrubStatus
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.prefixes import HINT, HINTS_END, RECORDS_END, SCRUB
from kvorum.runtime.ports import Runtime
from kvorum.sealing.scrub_pass import Bookmark, Pass, read_bookmark
from kvorum.sealing.seal import key_id_of, namespace_of
from kvorum.sealing.vault import Vault
from kvorum.storage.store import FlushTarget

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
"""Opening so many pairs costs about as much as sending one to another node."""

OnDamaged = Callable[[bytes, CorruptRecord], object]
Settled = Callable[[StorageError | None], object]


class Engine(Protocol):
    """The journal and the files around the store. Each method calls `settled` once, later."""

    def empty(self, settled: Settled, /) -> None:
        """Flush the journal into the store."""

    def flush(self, settled: Settled, /) -> None:
        """Flush the journal and the engine's log to the files."""

    def compact(self, settled: Settled, /) -> None:
        """Flush as above, and rewrite the files without what was replaced or deleted."""


class Scrub:
    """The scrubber of one store."""

    def __init__(
        self,
        store: FlushTarget,
        engine: Engine,
        vault: Vault,
        runtime: Runtime,
        pause_s: Callable[[int], float],
        on_damaged: OnDamaged,
        on_failed: Callable[[StorageError], object],
        interval_s: float = INTERVAL_S,
    ) -> None:
        """`store` is the one below the seal. `pause_s(count)`: seconds to wait after work worth
        sending `count` records. `on_failed` is told if the keyring cannot be written.
        """
        self._on_failed = on_failed
        self.on_removed: Callable[[str, int], object] = _unheard
        """Told each dropped namespace, and the time (ms) of its removal, once no pair is left."""
        self.on_deleted: Callable[[bytes], object] = _unheard
        """Told of the stored key of each pair that was deleted."""
        self._store = store
        self._engine = engine
        self._vault = vault
        self._runtime = runtime
        self._pause_s = pause_s
        self._on_damaged = on_damaged
        self._interval_s = interval_s
        self._bookmark = read_bookmark(store.get(SCRUB))
        # When this process has begun or resumed the pass (s), and its fraction then.
        self._resumed = (0.0, 0.0)
        self._pages = 0
        self._settling = False
        self._stopped = False
        self._timer: Any = None

    def start(self) -> None:
        """Resume the pass that was under way, or begin one when it is due."""
        if self.running:
            self._go_on()
        else:
            self._schedule(FIRST_AFTER_S)

    def stop(self) -> None:
        """Do nothing from now on."""
        self._stopped = True

    def begin(self) -> None:
        """Begin a pass now. One that is under way begins again."""
        keyring = self._vault.keyring
        began = Pass(
            self._runtime.wall_ms(),
            retiring=tuple(key.id for key in keyring.describe() if key.state == "retiring"),
            shredded=tuple(sorted(keyring.shredded)),
            removing={name.decode(): at for name, at in self._vault.seal.removing.items()},
            older=self._vault.older_dictionaries(),
        )
        self._bookmark = Bookmark(began, self._whole)
        self._note()
        if not self._settling:
            self._go_on()

    @property
    def _whole(self) -> Pass | None:
        """The last complete pass."""
        return None if self._bookmark is None else self._bookmark.whole

    @property
    def _current(self) -> Pass:
        assert self._bookmark is not None
        return self._bookmark.current

    @property
    def running(self) -> bool:
        """True while a pass is under way."""
        return self._bookmark is not None and self._bookmark.current.ended_ms == 0

    def status(self) -> ScrubStatus:
        """The pass under way, if there is one, and `whole`, the last complete one."""
        whole = None if self._whole is None else self._whole.document()
        if not self.running:
            return ScrubStatus(running=False, whole=whole)
        fraction = self._current.fraction
        began, had = self._resumed
        gained, elapsed_s = fraction - had, self._runtime.now() - began
        eta_s = None if gained <= 0 else round(elapsed_s / gained * (1 - fraction), 1)
        return ScrubStatus(
            running=True,
            whole=whole,
            **msgspec.structs.asdict(self._current.document()),
            fraction=round(fraction, 4),
            eta_s=eta_s,
        )

    # When

    def _schedule(self, least_s: float) -> None:
        """Schedule the next pass: at once if it is urgent, else when it is due."""
        delay_s = 0.0
        if not self._urgent():
            last = self._whole
            since_s = (self._runtime.wall_ms() - last.ended_ms) / 1000 if last else self._interval_s
            delay_s = min(max(self._interval_s - since_s, least_s), self._interval_s)
        self._later(delay_s, self._begin_if_idle)

    def _urgent(self) -> bool:
        """True if there are keys to be retired, or shredded records to be deleted."""
        keyring, last = self._vault.keyring, self._whole
        if self._vault.seal.removing or self._unswept(keyring.shredded):
            return True
        # A key that a complete pass could not retire is used by a namespace that is not served.
        tried = set(last.retiring) if last else set()
        return any(key.state == "retiring" and key.id not in tried for key in keyring.describe())

    def _unswept(self, shredded: Iterable[int]) -> bool:
        """True if one of these keys was shredded after the last complete pass had begun."""
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
        self._settling = False
        if self._stopped or error is not None:
            return  # The store has reported its failure to the node.
        self._resumed = (self._runtime.now(), self._current.fraction)
        self._later(0.0, self._page)

    def _later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call back after `delay_s`, in the place of what was to be called back before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._runtime.call_later(delay_s, callback)

    # A pass

    def _page(self) -> None:
        if self._stopped or self._store.failed is not None:
            return
        current, began = self._current, self._runtime.now()
        if self._store.full:
            self._later(_RETRY_S, self._page)
            return
        try:
            pairs, cursor = self._next(current.cursor)
        except StorageError:
            # A request that needs these pairs reports the error. The walk tries them again.
            self._later(_RETRY_S, self._page)
            return
        before = current.rewritten
        for stored_key, sealed in pairs:
            self._check(current, stored_key, sealed)
        current.cursor = cursor
        if current.walked:
            self._walked()
            return
        self._pages += 1
        if self._pages % _NOTED_EVERY_PAGES == 0:
            self._note()
        rewritten = current.rewritten - before
        pause_s = self._pause_s(1 + rewritten + len(pairs) // _OPENED_LIKE_ONE)
        if pause_s:
            pause_s = max(pause_s, _REST * (self._runtime.now() - began))
        self._later(pause_s, self._page)

    def _next(self, cursor: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """The next pairs, and where to go on. They are read a few at a time, for their sizes."""
        end = RECORDS_END if cursor < RECORDS_END else HINTS_END
        pairs: list[tuple[bytes, bytes]] = []
        size, step = 0, _FIRST_PAIRS
        while len(pairs) < PAGE_PAIRS and size < PAGE_BYTES:
            found = self._store.scan(cursor, end, step)
            pairs += found
            if len(found) < step:
                return pairs, HINT if end == RECORDS_END else HINTS_END
            size += sum(len(key) + len(data) for key, data in found)
            cursor = pairs[-1][0] + b"\0"
            step = min(PAGE_PAIRS - len(pairs), max(1, (PAGE_BYTES - size) * len(pairs) // size))
        return pairs, cursor

    def _check(self, current: Pass, stored_key: bytes, sealed: bytes) -> None:
        vault = self._vault
        current.pairs += 1
        if vault.keyring.is_shredded(key_id_of(sealed)) or vault.seal.is_removed(
            stored_key, sealed
        ):
            current.dropped += 1
            self._store.write(stored_key, None)
            self.on_deleted(stored_key)
            return
        try:
            key, data = vault.seal.open(stored_key, sealed)
        except CorruptRecord as error:
            current.damaged += 1
            self._on_damaged(stored_key, error)
            return
        sealed = self._resealed(current, stored_key, sealed, key, data)
        current.keep(key, data, stored_key, sealed)

    def _resealed(
        self, current: Pass, stored_key: bytes, sealed: bytes, key: bytes, data: bytes
    ) -> bytes:
        """The stored value, after it was resealed if its namespace is sealed otherwise by now."""
        if self._vault.is_present(namespace_of(key), sealed):
            return sealed
        new_key, resealed = self._vault.seal.seal(key, data)
        if new_key != stored_key:
            return sealed  # Encryption was turned on or off: resealing.py does that at a start.
        current.resealed += 1
        self._store.write(stored_key, resealed)
        return resealed

    # Its end

    def _walked(self) -> None:
        """The whole store is walked. Have all that was put flushed, and end the pass."""
        self._settling = True
        self._note()
        self._store.sync(self._on_log, None)

    def _on_log(self, _arg: object, error: StorageError | None) -> None:
        """All that the pass has put is in the engine's log."""
        current = self._current
        if error is not None:
            self._settled(error)
        elif current.dropped or current.removing or self._unswept(current.shredded):
            self._engine.compact(self._settled)
        elif current.retiring or current.unused_dictionaries():
            self._engine.flush(self._settled)
        else:
            self._settled(None)

    def _settled(self, error: StorageError | None) -> None:
        self._settling = False
        if self._stopped or self._store.failed is not None:
            return
        current = self._current
        if not current.walked:  # It was begun again.
            self._go_on()
            return
        if error is not None:
            self._later(_SETTLE_AGAIN_S, self._walked)
            return
        try:
            self._retire_unused(current)
            for namespace, dictionary in current.unused_dictionaries():
                if dictionary in self._vault.dictionaries.ids(namespace):
                    self._vault.forget_dictionary(namespace, dictionary)
        except StorageError as failure:
            self._on_failed(failure)
            return
        for name, before_ms in current.removing.items():
            self.on_removed(name, before_ms)
        current.ended_ms = self._runtime.wall_ms()
        self._bookmark = Bookmark(current, whole=current)
        self._note()
        self._store.sync(self._noted, None)

    def _retire_unused(self, current: Pass) -> None:
        for key in self._vault.keyring.describe():
            unused = not current.by_key.get(key.id)
            if unused and key.state == "retiring" and key.id in current.retiring:
                self._vault.retire(key.id)

    def _noted(self, _arg: object, error: StorageError | None) -> None:
        if error is None and not self._stopped and not self.running:
            self._schedule(self._interval_s)

    def _note(self) -> None:
        self._store.write(SCRUB, msgspec.json.encode(self._bookmark))


def _unheard(*_what: object) -> None:
    """Nobody has subscribed."""
