"""How many bytes it takes to find one differing key among many.

In this process (`replica_world.py`), where the bytes of each kind of message can be counted:
three replicas hold the same records; then one of them misses one, and

    repair    another node is asked for a repair, as by POST /repair
    pass      nobody is asked for anything

Counted are the bytes of all frames that the three nodes send each other, gossip apart, until
the replicas are equal and whatever found the difference has ended.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from figures import Figure, Outcome, at_most
from replica_world import NODES, World, place
from scale import Scale

from kvorum.model.record import EMPTY, JSON, Event, encode, write
from kvorum.wire.messages import Write

SCENARIO: Final = "one-key"
_BYTES_MAX: Final = 100 * 1000
_VALUE: Final = b'"' + b"x" * 100 + b'"'
_QUIET_S: Final = 90.0
"""Longer than from the beginning of one pass to the end of the next."""
_LIMIT_S: Final = 600.0
_DIFFERS: Final = "differs"


async def measure(scale: Scale) -> Outcome:
    world = _stocked(scale.keys)
    world.start()
    click.echo("building the trees of all three", err=True)
    world.run_until(lambda: all(n.anti_entropy().trees_built for n in world.nodes), _LIMIT_S)
    world.scheduler.run_for(_QUIET_S)

    _plant(world, f"{_DIFFERS}:repair")
    by_repair = _by_repair(world)
    world.scheduler.run_for(_QUIET_S)
    _plant(world, f"{_DIFFERS}:pass")
    world.scheduler.run_for(_QUIET_S)
    _check_equal(world, f"{_DIFFERS}:pass")
    by_pass = dict(world.bytes_sent)

    figures = [
        _figure("bytes of a repair", by_repair),
        _figure(f"bytes of all passes in {_QUIET_S:.0f} s", by_pass),
    ]
    details = {"keys": scale.keys, "nodes": NODES, "by_repair": by_repair, "by_pass": by_pass}
    return Outcome(SCENARIO, figures, details)


def _stocked(count: int) -> World:
    world = World()
    keys = sorted(place(f"user:{number:08}") for number in range(count))
    with click.progressbar(keys, label=f"{count:,} records", file=sys.stderr) as bar:
        for number, key in enumerate(bar):
            record = _record(key, number + 1)
            for node in range(NODES):
                world.put(node, key, record)
            if number % 10_000 == 0:
                world.scheduler.run_for(0)
    return world


def _record(key: bytes, counter: int) -> bytes:
    return encode(key, write(EMPTY, (), Event(7 << 20 | 1, counter, 1000), JSON, _VALUE))


def _plant(world: World, name: str) -> None:
    """All but the last node get a record, as if the last had not been reached."""
    key = place(name)
    world.bytes_sent.clear()
    for node in range(NODES - 1):
        world.nodes[node].on_message((node + 1) % NODES, Write(0, key, _record(key, 1)))
    world.scheduler.run_for(0)
    world.bytes_sent.clear()


def _by_repair(world: World) -> dict[str, int]:
    repairs = world.nodes[0].repairs
    number: Any = repairs.begin(None, None, None, full=False)["id"]
    world.run_until(lambda: bool(repairs.progress(number)["ended"]), _LIMIT_S)
    sent = dict(world.bytes_sent)
    _check_equal(world, f"{_DIFFERS}:repair")
    return sent


def _check_equal(world: World, name: str) -> None:
    key = place(name)
    world.run_until(lambda: len({store.get(key) for store in world.stores}) == 1, 0)


def _figure(name: str, sent: dict[str, int]) -> Figure:
    return Figure(name, sum(sent.values()), "B", at_most(_BYTES_MAX, "B"))
