"""A load with and without a burden, in turn: what the burden costs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import click
import foreground
from failover import Load, running
from figures import Figure, at_least, at_most
from foreground import Span, now_ns
from scale import Scale
from trio import Trio

_RATIO_MIN: Final = 0.9

Burden = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Turns:
    """What was measured, a pair of spans for each round."""

    load: Load
    without: list[Span]
    with_it: list[Span]

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.with_it, self.without, strict=True)
        return [a.per_second / b.per_second for a, b in pairs]

    def figures(self, burden: str) -> list[Figure]:
        rate, rate_without = (
            fmean(span.per_second for span in spans) for spans in (self.with_it, self.without)
        )
        return [
            Figure("throughput without", rate_without, "/s"),
            Figure(f"throughput with {burden}", rate, "/s"),
            Figure("ratio", rate / rate_without, "", at_least(_RATIO_MIN)),
            Figure("ratio, lowest round", min(self.ratios)),
            Figure("ratio, highest round", max(self.ratios)),
            Figure("requests that failed", self.load.errors.total(), "", at_most(0)),
        ]

    def details(self, scale: Scale) -> dict[str, Any]:
        return {
            "connections": scale.connections,
            "ratios": self.ratios,
            "without": [span.document() for span in self.without],
            "with": [span.document() for span in self.with_it],
            "errors": dict(self.load.errors),
        }


async def in_turn(scale: Scale, trio: Trio, burden: Burden) -> Turns:
    """The foreground of `trio`, which has been stocked, without `burden` and with it."""
    load = foreground.load_on(trio, scale.connections)
    turns = Turns(load, [], [])

    async def stretch() -> Span:
        await asyncio.sleep(foreground.WARM_UP_S)
        since_ns = now_ns()
        await asyncio.sleep(scale.seconds)
        return Span(load, since_ns, now_ns())

    async with running(load, scale.connections):
        for number in range(1, scale.rounds + 1):
            click.echo(f"round {number} of {scale.rounds}", err=True)
            turns.without.append(await stretch())
            async with burden():
                turns.with_it.append(await stretch())
    return turns
