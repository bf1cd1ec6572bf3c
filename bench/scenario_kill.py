"""A node is killed under load: what fails, how throughput goes on, and the node's return.

Requests that meet the failure are of three classes: the connection to the killed node broke
while they waited; another node had forwarded them, as writes, to the killed one, and answers
that their outcome is unknown; and those that fail for any other reason. The first two are asked
again within their time, as clients do with writes that may be repeated.
"""

from __future__ import annotations

import asyncio
from statistics import fmean
from time import monotonic
from typing import Final

import foreground
from failover import AGAIN, running
from figures import Figure, Outcome, at_most
from foreground import now_ns
from scale import Scale
from trio import VICTIM, Trio

SCENARIO: Final = "kill"
_BUCKET_NS: Final = 500_000_000
_SHARE: Final = 0.8
_STEADY: Final = 4
"""It is back when so many buckets in a row are, on average: one alone may be luck."""
_BACK_WITHIN_S: Final = 5.0
_HINTS_GONE_WITHIN_S: Final = 600.0


async def measure(scale: Scale) -> Outcome:
    async with Trio(scale.work_dir) as trio:
        await foreground.stock(trio)
        load = foreground.load_on(trio, scale.connections)
        async with running(load, scale.connections):
            await asyncio.sleep(foreground.WARM_UP_S)
            since_ns = now_ns()
            await asyncio.sleep(scale.seconds)
            errors_before = load.errors.copy()
            killed_ns = now_ns()
            await trio.kill()
            await asyncio.sleep(max(scale.seconds, _BACK_WITHIN_S + _STEADY))
            until_ns = now_ns()
            errors_until_return = load.errors.copy()
            owed = await trio.hints_owed()
            await trio.restart()
            load.returned(VICTIM)
            returned = monotonic()
            await trio.until(lambda: _all_handed_over(trio), "no hints left", _HINTS_GONE_WITHIN_S)
            handed_over_s = monotonic() - returned
    before = load.journal.per_second(since_ns, killed_ns)
    after = load.journal.rates(killed_ns, until_ns, _BUCKET_NS)
    in_flight = load.broken.pop(VICTIM, 0)
    forwarded = load.unknown.total()
    lost = in_flight + forwarded - load.recovered
    others = sum(n for reason, n in load.errors.items() if not reason.endswith(AGAIN))
    figures = [
        Figure("requests in flight to the killed node", in_flight),
        Figure("writes that others had forwarded to it", forwarded),
        Figure("of both: not answered when asked again", lost, "", at_most(0)),
        Figure("other requests that failed", others + load.broken.total(), "", at_most(0)),
        Figure("throughput before", before, "/s"),
        Figure("lowest half second after", min(after), "/s"),
        Figure("back at 80% after", back_s(after, before), "s", at_most(_BACK_WITHIN_S, "s")),
        Figure("hints owed at its return", owed),
        Figure("no hints left after its return", handed_over_s, "s"),
    ]
    return Outcome(
        SCENARIO,
        figures,
        {
            "connections": scale.connections,
            "errors": {
                "before": errors_before,
                "after": errors_until_return - errors_before,
                "after_return": load.errors - errors_until_return,
            },
            "unknown": dict(load.unknown),
            "connections_lost_to_others": load.broken.total(),
            "per_second_before": load.journal.rates(since_ns, killed_ns, _BUCKET_NS),
            "per_second_after": after,
            "bucket_s": _BUCKET_NS / 1e9,
        },
    )


async def _all_handed_over(trio: Trio) -> bool:
    return await trio.hints_owed() == 0


def back_s(rates: list[float], before: float) -> float | None:
    """When throughput was back for good measure; None if it never was."""
    for start in range(len(rates) - _STEADY + 1):
        stretch = rates[start : start + _STEADY]
        if min(stretch[0], fmean(stretch)) >= _SHARE * before:
            return start * _BUCKET_NS / 1e9
    return None
