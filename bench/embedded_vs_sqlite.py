#!/usr/bin/env python3
"""The embedded store and SQLite, one call at a time, side by side in one process.

    kvorum   kvorum.open(...): set(key, value) and get(key), everything as installed
    sqlite   WAL, synchronous=FULL, one table (key TEXT PRIMARY KEY, value TEXT), a statement a call
    disk     4 KiB written over a file that has its blocks, and fdatasync; nothing else

Values are dictionaries of about --value-size bytes as JSON. Both sides turn them into text and
back: kvorum in `set` and `get`, and beside SQLite `json.dumps` and `json.loads` of the standard
library. Every set is on the disk when it returns. In each round all of them have their turn, in
another order each time, with the same keys; the medians are over the rounds.

    python bench/embedded_vs_sqlite.py
    python bench/embedded_vs_sqlite.py --keys 300000 --memory 64MB     # more than the caches hold
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import click
import disk
import report
from report import COUNT, Report

import kvorum
from kvorum.model.errors import KvorumError

KVORUM: Final = "kvorum"
SQLITE: Final = "sqlite"
DISK: Final = "disk"
SET: Final = "set"
GET: Final = "get"
OPERATIONS: Final = (SET, GET)
GOALS: Final = {SET: 0.9, GET: 0.5}

_BLOCK: Final = 4096

Call = Callable[[str, Any], object]


class Contender(NamedTuple):
    """One of those that are compared, open: what it does for a set and for a get of a key."""

    name: str
    calls: dict[str, Call]


class Opener(Protocol):
    """Opens a contender, which has all `values` by key before it is measured."""

    def __call__(
        self, directory: Path, values: dict[str, Any], memory: str
    ) -> Iterator[Contender]: ...


@contextmanager
def open_kvorum(directory: Path, values: dict[str, Any], memory: str) -> Iterator[Contender]:
    with kvorum.open(directory / "kvorum", memory=memory) as store:
        store.set_many(values)
        yield Contender(KVORUM, {SET: store.set, GET: lambda key, _value: store.get(key)})


@contextmanager
def open_sqlite(directory: Path, values: dict[str, Any], _memory: str) -> Iterator[Contender]:
    with closing(sqlite3.connect(directory / "sqlite.db", isolation_level=None)) as connection:
        execute = connection.execute
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT)")
        put = "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = ?2"
        select = "SELECT value FROM entries WHERE key = ?"
        execute("BEGIN")
        connection.executemany(put, ((key, json.dumps(value)) for key, value in values.items()))
        execute("COMMIT")

        def get(key: str, _value: Any) -> Any:
            return json.loads(execute(select, (key,)).fetchone()[0])

        def put_one(key: str, value: Any) -> None:
            execute(put, (key, json.dumps(value)))

        yield Contender(SQLITE, {SET: put_one, GET: get})


@contextmanager
def open_disk(directory: Path, _values: dict[str, Any], _memory: str) -> Iterator[Contender]:
    block = os.urandom(_BLOCK)
    descriptor = os.open(directory / "blocks", os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(descriptor, bytes(1024 * _BLOCK), 0)
        os.fsync(descriptor)
        places = iter(range(1 << 62))

        def put_one(_key: str, _value: Any) -> None:
            os.pwrite(descriptor, block, next(places) % 1024 * _BLOCK)
            os.fdatasync(descriptor)

        yield Contender(DISK, {SET: put_one})
    finally:
        os.close(descriptor)


OPENERS: Final = (open_kvorum, open_sqlite, open_disk)


class Turn(NamedTuple):
    """The microseconds that a call took on average, and how many of them on a processor."""

    us: float
    processor_us: float


class Series(NamedTuple):
    """What one contender has taken for one operation, by round."""

    name: str
    operation: str
    rounds: list[Turn]

    @property
    def median_us(self) -> float:
        return statistics.median(turn.us for turn in self.rounds)

    @property
    def processor_us(self) -> float:
        return statistics.median(turn.processor_us for turn in self.rounds)


class Ratio(NamedTuple):
    """The rate of one contender over SQLite's; half of all rounds are in `lower` to `upper`."""

    name: str
    operation: str
    median: float
    lower: float
    upper: float


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--rounds", type=click.IntRange(min=2), default=40, show_default=True)
@click.option("--sets", type=COUNT, default=200, show_default=True, help="Of a round.")
@click.option("--gets", type=COUNT, default=2000, show_default=True, help="Of a round.")
@click.option(
    "--warm-up",
    type=COUNT,
    default=2000,
    show_default=True,
    help="Sets before that, in which what was loaded at once is flushed.",
)
@click.option("--keys", type=COUNT, default=10_000, show_default=True)
@click.option("--value-size", type=click.IntRange(min=60), default=100, show_default=True)
@click.option("--memory", default="256MB", show_default=True, help="Of the embedded store.")
@report.options
def main(work_dir: Path, output: str, save: Path | None, **options: Any) -> None:
    try:
        disk.check(work_dir)
        circumstances = {**report.circumstances(work_dir), "sqlite": sqlite3.sqlite_version}
        with tempfile.TemporaryDirectory(dir=work_dir, prefix="embedded-") as directory:
            series = measure(Path(directory), **options)
        ratios = ratios_of(series)
        document = {
            **circumstances,
            "load": options,
            "figures": [
                {**s._asdict(), "median_us": s.median_us, "processor_us": s.processor_us}
                for s in series
            ],
            "ratios": [ratio._asdict() for ratio in ratios],
        }
        Report(output=output, save=save).show(document, table(series, ratios))
    except KvorumError as error:
        raise click.ClickException(error.message) from error


def measure(
    directory: Path,
    rounds: int,
    sets: int,
    gets: int,
    warm_up: int,
    keys: int,
    value_size: int,
    memory: str,
) -> list[Series]:
    """Open all contenders and give each its turn in every round."""
    chance = random.Random(1)
    values = {f"key{number:08d}": value_of(number, value_size) for number in range(keys)}
    names = list(values)
    with ExitStack() as opened:
        contenders = [
            opened.enter_context(open_it(directory, values, memory)) for open_it in OPENERS
        ]
        series = [
            Series(each.name, operation, [])
            for operation in OPERATIONS
            for each in contenders
            if operation in each.calls
        ]
        for contender in contenders:
            timed(contender.calls[SET], chance.choices(names, k=warm_up), -2, value_size)
        for round_number in range(-1, rounds):
            asked = {SET: chance.choices(names, k=sets), GET: chance.choices(names, k=gets)}
            for each in chance.sample(series, len(series)):
                contender = next(one for one in contenders if one.name == each.name)
                call = contender.calls[each.operation]
                took = timed(call, asked[each.operation], round_number, value_size)
                if round_number >= 0:  # The first one is for the gets to warm up.
                    each.rounds.append(took)
    return series


def timed(call: Call, keys: Sequence[str], round_number: int, value_size: int) -> Turn:
    """One turn: so many calls, each with a value that has not been there."""
    values = [value_of((round_number << 20) + number, value_size) for number in range(len(keys))]
    busy, began = time.process_time(), time.perf_counter()
    for key, value in zip(keys, values, strict=True):
        call(key, value)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    return Turn(took / len(keys) * 1e6, busy / len(keys) * 1e6)


def value_of(number: int, size: int) -> dict[str, Any]:
    """Another one for each number, of about `size` bytes as JSON."""
    value = {"id": number, "name": "a customer", "tags": ["x", "y"], "note": ""}
    value["note"] = "n" * max(0, size - len(json.dumps(value)))
    return value


def ratios_of(series: Sequence[Series]) -> list[Ratio]:
    """Of all but SQLite, from the rounds that they had together."""
    found = []
    for each in series:
        theirs = next(s for s in series if s.name == SQLITE and s.operation == each.operation)
        if each is not theirs:
            turns = zip(each.rounds, theirs.rounds, strict=True)
            lower, median, upper = statistics.quantiles(other.us / own.us for own, other in turns)
            found.append(Ratio(each.name, each.operation, median, lower, upper))
    return found


def table(series: Sequence[Series], ratios: Sequence[Ratio]) -> str:
    """Markdown, which is legible as it is."""
    lines = [
        "| | operation | median us | us of a processor | rate over SQLite's | goal |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for each in series:
        ratio = next(
            (r for r in ratios if (r.name, r.operation) == (each.name, each.operation)), None
        )
        shown = (
            "" if ratio is None else f"{ratio.median:.2f} ({ratio.lower:.2f} to {ratio.upper:.2f})"
        )
        goal = f"{GOALS[each.operation]}" if each.name == KVORUM else ""
        lines.append(
            f"| {each.name} | {each.operation} | {each.median_us:.1f} | {each.processor_us:.1f} "
            f"| {shown} | {goal} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
