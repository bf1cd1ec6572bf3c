"""A process that writes numbered keys until it is killed, and says which are durable.

    writer_process.py PATH SYNCER [FILE_BYTES_MAX]

Writes 32 keys at a time, each as soon as another is durable, on a real event loop; each
durable write prints its number. With FILE_BYTES_MAX no file may grow beyond that, as on a
full disk: then it prints "failed" and the error, and ends.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import uvloop
from kit.runtime import put

from kvorum.model.errors import StorageError
from kvorum.runtime.loop import LoopRuntime
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer, NoSyncer, Syncer, ThreadSyncer

OUTSTANDING = 32


def key_of(number: int) -> bytes:
    return b"%010d" % number


def value_of(number: int) -> bytes:
    return b"value-%d" % number * (number % 50 + 1)


def say(line: str) -> None:
    os.write(sys.stdout.fileno(), line.encode() + b"\n")


def main(path: Path, kind: str) -> None:
    loop = uvloop.new_event_loop()
    runtime = LoopRuntime(loop)
    syncer: Syncer
    if kind == "thread":
        syncer = ThreadSyncer(runtime, loop.call_soon_threadsafe)
    else:
        syncer = {"inline": InlineSyncer, "os": NoSyncer}[kind](runtime.call_soon)
    written = 0

    def failed(error: StorageError) -> None:
        say(f"failed {error}")
        loop.stop()

    store = RocksStore.open(path, runtime, syncer, failed)

    def durable(number: int, error: StorageError | None) -> None:
        if error is None:
            say(str(number))
            go_on()

    def go_on() -> None:
        nonlocal written
        number = written
        written += 1
        put(store, key_of(number), value_of(number), durable, number)

    for _ in range(OUTSTANDING):
        go_on()
    loop.run_forever()
    store.close()
    loop.close()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) > 2:
        limit = int(arguments[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    main(Path(arguments[0]), arguments[1])
