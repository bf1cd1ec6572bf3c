"""A program that crashes at every sync of a workload, one after the other: of the journal's log,
which each write waits for, and of the engine's, which flush ends with.

    crash_points.py DIRECTORY WHEN

For k = 1, 2, ... a child runs the workload on an embedded store in a new directory, and kills
itself at its k-th sync; another child then opens what is left and compares it with what the
first had acknowledged through a pipe. WHEN says how the k-th sync goes:

    before   killed before it: the log has been written, but not synced
    after    killed after it: synced, but not acknowledged
    power    as by a loss of power: of the entry that is being written some blocks are on the disk,
             or the engine's log is cut at a random place after what its last sync has covered

This process opens no store itself: the engine's threads would not survive a fork. It prints
the number of points, and ends with an error at the first that breaks a promise.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import kvorum
import kvorum.embedded.engine
from kvorum.model.errors import NotFound
from kvorum.storage.log_file import BLOCK
from kvorum.storage.log_recovery import Recovered
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import Finished, InlineSyncer, Sync

OPERATIONS = 24
KEYS = 12

Say = Callable[..., None]


def workload() -> Iterator[dict[str, Any]]:
    """What is done in each step: keys to values; None deletes."""
    rng = random.Random(1)
    for step in range(OPERATIONS):
        keys = rng.sample(range(KEYS), 4 if step % 5 == 0 else 1)
        gone = step % 7 == 6
        yield {f"key-{key}": None if gone else f"{step} " * rng.randrange(1, 300) for key in keys}


class DeadlySyncer(InlineSyncer):
    """Kills the process at the sync with the number `deadly`."""

    deadly = 0
    when = ""
    say: Say
    rocks: Path
    syncs = 0

    def start(self, sync: Sync, finished: Finished) -> None:
        cls = type(self)
        cls.syncs += 1
        of_engine = isinstance(getattr(sync, "__self__", None), RocksStore)
        if cls.syncs == cls.deadly:
            if cls.when == "power" and not of_engine:
                cls.say(torn=True)
            if cls.when == "after" or (cls.when == "power" and not of_engine):
                super().start(sync, finished)
            os.kill(os.getpid(), signal.SIGKILL)
        super().start(sync, finished)
        if of_engine:
            cls.say(synced={log.name: log.stat().st_size for log in cls.rocks.glob("*.log")})


def write(path: Path, k: int, when: str, say: Say) -> None:
    DeadlySyncer.deadly, DeadlySyncer.when, DeadlySyncer.say = k, when, staticmethod(say)
    DeadlySyncer.rocks = path / "rocks"
    setattr(kvorum.embedded.engine, "InlineSyncer", DeadlySyncer)  # noqa: B010  it is not its to export
    store = kvorum.open(path)
    for changes in workload():
        say(begun=changes)
        dots: list[Any] = []
        sets = {key: value for key, value in changes.items() if value is not None}
        if sets:
            for entry in store.set_many(sets):
                assert isinstance(entry, kvorum.Entry), entry
                dots += [(event.node, event.counter) for event in entry.clock]
        for key in changes.keys() - sets.keys():
            try:
                store.delete(key)
            except NotFound:
                say(missing=key)
        say(done=changes, dots=dots)


def check(path: Path, heard: list[dict[str, Any]]) -> None:
    """Raises AssertionError if the store at `path` is not what the first child left."""
    kept: dict[str, set[str | None]] = {f"key-{key}": {None} for key in range(KEYS)}
    used: set[tuple[str, int]] = set()
    for word in heard:
        for key, value in word.get("begun", {}).items():
            kept[key] = {*kept[key], value}
        for key, value in word.get("done", {}).items():
            kept[key] = {value}
        used.update((node, counter) for node, counter in word.get("dots", ()))
    with kvorum.open(path) as store:
        for key, values in kept.items():
            assert store.get(key) in values, (key, store.get(key), values)
        assert {entry.key for entry in store.scan()} <= kept.keys()
        for entry in store.scan():
            used.update((event.node, event.counter) for event in entry.clock)
        (first,) = store.set("probe", "first").clock
        for result in store.set_many(dict.fromkeys(kept, "after")):
            assert isinstance(result, kvorum.Entry), result
            (counter,) = (event.counter for event in result.clock if event.node == first.node)
            assert (first.node, counter) not in used, (result, used)
            used.add((first.node, counter))


def in_child(work: Callable[[Say], None]) -> tuple[int, list[dict[str, Any]]]:
    """How a child ended that did `work`, and what it said."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)

        def say(**word: Any) -> None:
            os.write(writer, json.dumps(word).encode() + b"\n")

        try:
            work(say)
        except BaseException as error:  # noqa: BLE001 - told to the parent
            say(error=repr(error))
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        heard = [json.loads(line) for line in said]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), heard


def lose_power(path: Path, heard: list[dict[str, Any]], rng: random.Random) -> None:
    """Cut the engine's log somewhere after what its last sync has covered, and tear the entry that
    was being written, if one was.
    """
    synced: dict[str, int] = next(
        (word["synced"] for word in reversed(heard) if "synced" in word), {}
    )
    for log in sorted((path / "rocks").glob("*.log"))[-1:]:
        os.truncate(log, rng.randint(synced.get(log.name, 0), log.stat().st_size))
    if any("torn" in word for word in heard):
        newest = Recovered(path / "journal").newest
        assert newest is not None
        file, found = newest
        with open(file.path, "r+b") as stream:
            for at in range(found.at, found.end, BLOCK):
                if rng.random() < 0.5:
                    stream.seek(at)
                    stream.write(bytes(BLOCK))


def main(directory: Path, when: str) -> None:
    rng = random.Random(2)
    for k in count(1):
        path = directory / str(k)
        ended, heard = in_child(lambda say, path=path, k=k: write(path, k, when, say))  # type: ignore[misc]
        if ended == 0:
            print(k - 1)
            return
        assert ended == -signal.SIGKILL, heard[-1]
        if when == "power":
            lose_power(path, heard, rng)
        ended, said = in_child(lambda _say, path=path, heard=heard: check(path, heard))  # type: ignore[misc]
        assert ended == 0, f"killed {when} sync {k}: {said}"
        shutil.rmtree(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
