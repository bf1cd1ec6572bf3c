"""How fast one node lists keys, and what requests notice of it.

    python bench/listing.py --entries 1000000

Three nodes (`kvorum up`, N=3, R=W=2) hold the entries, and a thousand more of one hash tag. Each
round lists the keys of all through one node, a page of 10,000 after another; counts them; lists
those of the tag; and then has eight clients get and put for some seconds, first alone and then
beside a listing that begins again and again through the node that they ask, too. The latencies of
all rounds are taken together.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import kvorum

_PAGE = 10_000
_TAGGED = 1000
_CLIENTS = 8
_PAUSE_S = 0.002
_LOADED = 5000


def get(connection: http.client.HTTPConnection, path: str) -> dict[str, object]:
    """The document at `path`."""
    connection.request("GET", path)
    found: dict[str, object] = json.loads(connection.getresponse().read())
    return found


def list_keys(port: int, query: str = "", stop: threading.Event | None = None) -> int:
    """How many keys a listing through the node at `port` gives."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    listed, cursor = 0, ""
    while stop is None or not stop.is_set():
        page = get(connection, f"/entries?values=false&limit={_PAGE}{query}{cursor}")
        keys = page["keys"]
        assert isinstance(keys, list)
        listed += len(keys)
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    connection.close()
    return listed


def count(port: int) -> int:
    """How many entries the node at `port` counts."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    counted, cursor = 0, ""
    while True:
        page = get(connection, f"/entries/count{cursor}")
        assert isinstance(page["count"], int)
        counted += page["count"]
        if page["cursor"] is None:
            return counted
        cursor = f"?cursor={page['cursor']}"


def load(port: int, entries: int) -> None:
    """Store the entries."""
    with kvorum.connect(f"127.0.0.1:{port},127.0.0.1:{port + 1},127.0.0.1:{port + 2}") as store:
        for first in range(0, entries, _LOADED):
            numbers = range(first, min(first + _LOADED, entries))
            results = store.set_many(
                {f"user:{n}:profile": {"name": f"User {n}", "mail": f"u{n}@x.org"} for n in numbers}
            )
            assert not any(isinstance(one, kvorum.errors.KvorumError) for one in results)
        store.set_many({f"cart:{{7}}:{n:05}": {"amount": n} for n in range(_TAGGED)})


def client(port: int, entries: int, until: float, seed: int, latencies_ms: list[float]) -> None:
    """One request after another with pauses: three gets of four, else a put."""
    rng = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while time.monotonic() < until:
        key = f"user:{rng.randrange(entries)}:profile"
        began = time.monotonic()
        if rng.random() < 0.75:
            connection.request("GET", f"/entry/{key}")
        else:
            connection.request("PUT", f"/entry/{key}", body=b'{"name": "other"}')
        connection.getresponse().read()
        latencies_ms.append((time.monotonic() - began) * 1000)
        time.sleep(rng.expovariate(1 / _PAUSE_S))
    connection.close()


def foreground(port: int, entries: int, seconds: float) -> list[float]:
    """The latencies (ms) of the clients, which run as threads of a process of their own."""
    command = [sys.executable, __file__, "--foreground", str(port), str(entries), str(seconds)]
    return [float(line) for line in subprocess.check_output(command, text=True).split()]


def run_foreground(port: int, entries: int, seconds: float) -> None:
    """What that process does."""
    latencies_ms: list[float] = []
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=client, args=(port, entries, until, seed, latencies_ms))
        for seed in range(_CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(f"{one:.4f}" for one in latencies_ms))


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[int(len(values) * share)]


def measure(port: int, entries: int, rounds: int, seconds: float) -> None:
    """Print the figures."""
    quiet: list[float] = []
    beside: list[float] = []
    for number in range(rounds):
        began = time.monotonic()
        listed = list_keys(port)
        keys_a_s = listed / (time.monotonic() - began)
        began = time.monotonic()
        counted = count(port)
        counted_a_s = counted / (time.monotonic() - began)
        began = time.monotonic()
        tagged = list_keys(port, "&prefix=cart:%7B7%7D")
        tag_ms = (time.monotonic() - began) * 1000
        quiet += foreground(port, entries, seconds)
        stop, done = threading.Event(), [0]

        def again(done: list[int] = done, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                done[0] += list_keys(port, stop=stop)

        lister = threading.Thread(target=again)
        lister.start()
        began = time.monotonic()
        beside += foreground(port, entries, seconds)
        stop.set()
        lister.join()
        beside_a_s = done[0] / (time.monotonic() - began)
        print(
            f"round {number}: {listed} keys at {keys_a_s:,.0f}/s, counted {counted} at "
            f"{counted_a_s:,.0f}/s, {tagged} of a tag in {tag_ms:.1f} ms, beside requests "
            f"{beside_a_s:,.0f} keys/s",
            flush=True,
        )
    for share in (0.5, 0.99):
        before, during = percentile(quiet, share), percentile(beside, share)
        print(
            f"p{share * 100:.0f} of {len(quiet)} and {len(beside)} requests: {before:.2f} ms "
            f"quiet, {during:.2f} ms beside a listing: {during / before:.2f}"
        )


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--port", type=int, default=7900)
    parser.add_argument("--data-dir", help="kept; loaded if it holds nothing yet")
    parser.add_argument("--foreground", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.foreground:
        port, entries, seconds = asked.foreground
        run_foreground(int(port), int(entries), float(seconds))
        return
    with tempfile.TemporaryDirectory() as temporary:
        data = asked.data_dir or str(Path(temporary) / "data")
        command = [sys.executable, "-m", "kvorum", "up", "-n", "3", "--data-dir", data]
        command += ["--port", str(asked.port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with kvorum.connect(f"127.0.0.1:{asked.port}?timeout=60") as store:
                store.exists("anything")
                loaded = store.exists("user:0:profile")
            if not loaded:
                load(asked.port, asked.entries)
            time.sleep(10)
            measure(asked.port, asked.entries, asked.rounds, asked.seconds)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
