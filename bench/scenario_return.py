"""A node misses writes while it is dead, and is healed when it returns.

    hints          the survivors noted each write that it missed, and hand them over
    anti-entropy   those notes are taken from the survivors' stores while nothing runs, so
                   that only the comparison of Merkle trees can find what is missing

"Return" is when the node's process takes requests; where all three nodes were stopped, when
their processes are started again. The foreground does not touch the keys that were missed.
How far a node is healed is read by GET /locate/{key}, which looks at each replica and changes
none. At the end all nodes are stopped and their records of the missed keys compared, byte by
byte.
"""

from __future__ import annotations

import asyncio
import random
import sys
from time import monotonic
from typing import Any, Final

import click
import foreground
import surgery
from failover import Load, running
from figures import Figure, Outcome, at_most
from foreground import Span, now_ns
from scale import Scale
from stocking import store
from trio import SURVIVORS, VICTIM, Trio

from kvorum.model.errors import KvorumError, Overloaded

HINTS: Final = "hints"
ANTI_ENTROPY: Final = "anti-entropy"

_HINTS_WITHIN_S: Final = 60.0
_ANTI_ENTROPY_WITHIN_S: Final = 180.0
_GIVEN_UP_AFTER_S: Final = 1800.0
_SAMPLE: Final = 2000
_AT_ONCE: Final = 32
_POLL_S: Final = 0.2
_PREFIX: Final = "missed"


async def by_hints(scale: Scale) -> Outcome:
    keys = _names(scale.writes)
    async with Trio(scale.work_dir) as trio:
        await foreground.stock(trio)
        load = foreground.load_on(trio, scale.foreground)
        async with running(load, scale.foreground):
            before = await _calm(load, scale)
            owed = await _miss(trio, keys)
            returned_ns, returned = await _return(trio, load)
            with _bar("hints", owed) as bar:
                while left := await trio.hints_owed():
                    bar.update(owed - left - bar.pos)
                    await _wait(returned)
            healed_s = monotonic() - returned
            during = Span(load, returned_ns, now_ns())
            stale = await _Sample(trio, keys).stale()
            counters = await trio.counters()
        await trio.stop()
        unequal = surgery.unequal_records(trio, _PREFIX)
    figures = [
        Figure("hints owed at its return", owed),
        Figure("none left after", healed_s, "s", at_most(_HINTS_WITHIN_S, "s")),
        Figure("handed over", owed / healed_s, "/s"),
        Figure("sampled keys stale then", stale, "", at_most(0)),
        Figure("records unequal at the end", unequal, "", at_most(0)),
        *foreground.comparison(before, during),
    ]
    return Outcome(HINTS, figures, _details(scale, load, before, during, counters))


async def by_anti_entropy(scale: Scale) -> Outcome:
    keys = _names(scale.writes)
    async with Trio(scale.work_dir) as trio:
        await foreground.stock(trio)
        load = foreground.load_on(trio, scale.foreground)
        async with running(load, scale.foreground):
            before = await _calm(load, scale)
        owed = await _miss(trio, keys)
        await trio.stop()
        for node in SURVIVORS:
            surgery.remove_hints(trio, node)
        returned = monotonic()
        await trio.start()
        load = foreground.load_on(trio, scale.foreground)
        async with running(load, scale.foreground):
            since_ns = now_ns()
            await _check_no_hints(trio)
            if scale.repair:
                await _begin_repair(trio, returned)
            sample = _Sample(trio, keys)
            with _bar("sampled keys", sample.size) as bar:
                while left := await sample.stale():
                    bar.update(sample.size - left - bar.pos)
                    await _wait(returned)
            healed_s = monotonic() - returned
            during = Span(load, since_ns, now_ns())
            counters = await trio.counters()
        await trio.stop()
        unequal = surgery.unequal_records(trio, _PREFIX)
    how = "a repair asked for at once" if scale.repair else "passes begin by themselves"
    figures = [
        Figure("hints removed before its return", owed),
        Figure(f"healed after ({how})", healed_s, "s", at_most(_ANTI_ENTROPY_WITHIN_S, "s")),
        Figure("repaired", len(keys) / healed_s, "/s"),
        Figure("records unequal at the end", unequal, "", at_most(0)),
        *foreground.comparison(before, during),
    ]
    details = _details(scale, load, before, during, counters)
    return Outcome(ANTI_ENTROPY, figures, {**details, "repair_asked_for": scale.repair})


def _names(count: int) -> list[str]:
    return [f"{_PREFIX}:{number:08}" for number in range(count)]


async def _calm(load: Load, scale: Scale) -> Span:
    await asyncio.sleep(foreground.WARM_UP_S)
    since_ns = now_ns()
    await asyncio.sleep(scale.seconds)
    return Span(load, since_ns, now_ns())


async def _miss(trio: Trio, keys: list[str]) -> int:
    """Kill the node and store `keys` without it; returns how many hints it is owed."""
    await trio.kill()
    await trio.survivors_notice()
    await store([trio.clients[node] for node in SURVIVORS], keys, "missed by the dead node")
    if await trio.victim_missed_more():
        raise KvorumError(
            f"{len(keys)} missed writes are more than nodes note one by one. Give fewer --writes."
        )
    return await trio.hints_owed()


async def _return(trio: Trio, load: Load) -> tuple[int, float]:
    await trio.restart()
    load.returned(VICTIM)
    return now_ns(), monotonic()


async def _check_no_hints(trio: Trio) -> None:
    if await trio.victim_missed_more():
        raise KvorumError("A survivor still knows that the node missed writes.")


async def _begin_repair(trio: Trio, returned: float) -> None:
    while True:
        try:
            await trio.clients[VICTIM].begin_repair()
        except Overloaded:  # it still builds its trees
            await _wait(returned)
        else:
            return


async def _wait(since: float) -> None:
    if monotonic() - since > _GIVEN_UP_AFTER_S:
        raise KvorumError(f"The node was not healed within {_GIVEN_UP_AFTER_S:.0f} s.")
    await asyncio.sleep(_POLL_S)


class _Sample:
    """Some of the keys, in random order; those found current are not looked at again."""

    def __init__(self, trio: Trio, keys: list[str]) -> None:
        self._client = trio.clients[SURVIVORS[0]]
        self._victim = trio.name(VICTIM)
        self._left = random.Random(1).sample(keys, min(len(keys), _SAMPLE))
        self.size = len(self._left)

    async def stale(self) -> int:
        """How many are left; stops to look when some of those it looks at are stale."""
        while self._left:
            looked_at, rest = self._left[:_AT_ONCE], self._left[_AT_ONCE:]
            current = await asyncio.gather(*map(self._is_current, looked_at))
            stale = [key for key, is_so in zip(looked_at, current, strict=True) if not is_so]
            self._left = stale + rest
            if stale:
                break
        return len(self._left)

    async def _is_current(self, key: str) -> bool:
        located = await self._client.locate(key)
        states = {replica["node"]: replica["state"] for replica in located["replicas"]}
        return bool(states[self._victim] == "current")


def _bar(what: str, length: int) -> Any:
    return click.progressbar(length=length, label=f"healing: {what}", file=sys.stderr)


def _details(
    scale: Scale, load: Load, before: Span, during: Span, counters: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "missed_writes": scale.writes,
        "foreground": {
            "connections": scale.foreground,
            "keys": foreground.KEYS,
            "before": before.document(),
            "while_healing": during.document(),
            "errors": dict(load.errors),
        },
        "counters": counters,
    }
