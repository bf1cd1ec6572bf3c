"""A client that lists entries page by page, each page through another node.

To the history a listing is a read of every key, with the quorum of the namespace's reads: a key
that it gives was read while its page was, one that it does not give was read and not found some
time between the first page and the last. So the checkers of reads judge it. A listing of keys alone
tells no values; of it only the keys that are missing are judged.

It lists in some runs only, and draws from a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import replace

from kvorum.model.record import Record
from kvorum.model.request import Failure, Listed, Listing, Selection
from kvorum.sim.checkers import Violation
from kvorum.sim.history import History, Operation
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.scheduler import Timer
from kvorum.sim.world import World

_SHARE_OF_RUNS: Final = 0.3
_GIVE_UP_S: Final = 60.0
_GIVEN: Final[tuple[Listed, ...]] = ("entries", "entries", "keys")
_PREFIXES: Final = ("", "", "key", "{тег}")


class Lister:
    """Lists until it is stopped, with a pause after each page. `violations`: keys that one
    listing gave twice, or that its prefix does not fit.
    """

    def __init__(
        self, world: World, history: History, keys: list[str], parameters: Parameters
    ) -> None:
        self.violations: list[Violation] = []
        self._world = world
        self._history = history
        self._keys = keys
        self._rng = stream(parameters.seed, "listings")
        self._pause_s_mean = parameters.pause_s_mean
        self._namespaces = list(parameters.namespaces)
        self._stopped = self._rng.random() >= _SHARE_OF_RUNS
        self._selection = Selection(self._namespaces[0])
        self._began = 0.0
        self._page_began = 0.0
        self._listed: set[str] = set()
        self._unsure = False
        self._attempt = 0
        self._give_up: Timer | None = None

    def start(self) -> None:
        """Begin, unless this run has no listings."""
        if not self._stopped:
            self._rest(self._begin)

    def stop(self) -> None:
        """Ask for no further page."""
        self._stopped = True

    def _rest(self, then: Callable[[], object]) -> None:
        pause_s = self._rng.expovariate(1 / self._pause_s_mean)
        self._world.scheduler.after(pause_s, None, then)

    def _begin(self) -> None:
        rng = self._rng
        self._selection = Selection(
            rng.choice(self._namespaces),
            rng.choice(_PREFIXES),
            rng.choice(_GIVEN),
            rng.randint(1, 4),
        )
        self._began = self._world.scheduler.now
        self._listed = set()
        self._unsure = False
        self._page()

    def _page(self) -> None:
        up = self._world.up()
        if self._stopped:
            return
        if not up:
            self._rest(self._page)
            return
        node = self._rng.choice(up)
        self._attempt += 1
        self._page_began = self._world.scheduler.now
        self._world.trace.note(f"lister > n{node} {self._selection}")
        after, runtime = self._world.scheduler.after, self._world.runtime(node)
        reply = partial(self._on_page, self._attempt)
        after(0.0, runtime, self._world.scan, node, self._selection, reply)
        self._give_up = after(_GIVE_UP_S, None, self._on_page, self._attempt, None)

    def _on_page(self, attempt: int, page: Listing | Failure | None) -> None:
        """None: no answer came."""
        if attempt != self._attempt:
            return
        self._attempt += 1
        if self._give_up is not None:
            self._give_up.cancel()
        if not isinstance(page, Listing):
            self._rest(self._page)
            return
        self._take(page)
        self._selection = replace(self._selection, cursor=page.cursor)
        if page.cursor:
            self._rest(self._page)
        else:
            self._judge_missing()
            self._rest(self._begin)

    def _take(self, page: Listing) -> None:
        self._world.trace.note(f"lister < {page.keys or [key for key, _ in page.entries]}")
        for key in page.keys or [key for key, _ in page.entries]:
            if key in self._listed:
                self._blame(f"{key!r} was listed twice")
            if not key.startswith(self._selection.prefix):
                self._blame(f"{key!r} was listed for the prefix {self._selection.prefix!r}")
            self._listed.add(key)
        for key, record in page.entries:
            self._tell(key, self._page_began, record)
        self._listed.update(one.key for one in page.unreadable if one.key is not None)
        self._unsure = self._unsure or any(one.key is None for one in page.unreadable)

    def _judge_missing(self) -> None:
        if self._unsure:
            return
        for key in self._keys:
            if key.startswith(self._selection.prefix) and key not in self._listed:
                self._tell(key, self._began, None)

    def _tell(self, key: str, began: float, record: Record | None) -> None:
        """A read of `key` that began then, and ends now."""
        now = self._world.scheduler.now
        space = self._selection.namespace
        quorum = self._world.settings(space).read
        read: Operation = self._history.begin("get", key, quorum, began, now, namespace=space)
        read.ended, read.endings, read.listed = now, 1, True
        if record is None:
            read.outcome, read.error = "failed", "not_found"
            return
        read.outcome = "acked"
        read.values = tuple(version.value for version in record.versions)
        read.dots = tuple(version.dot for version in record.versions)
        read.expiries = tuple(version.expires for version in record.versions)
        read.context = record.context

    def _blame(self, message: str) -> None:
        self.violations.append(Violation("listed_once", message))
