"""The embedded store and fork: a child leaves the store alone, and the parent loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kvorum

START = """
import gc, multiprocessing, os, signal, sys, threading, warnings
import kvorum
warnings.simplefilter("ignore", DeprecationWarning)

def refused(call):
    try:
        call()
    except kvorum.errors.ConfigError as error:
        assert "before a fork" in str(error), error
        return 1
    return 0

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run(source: str, *arguments: object, code: int = 0) -> str:
    """What a program prints that ends with `code`."""
    done = subprocess.run(
        [sys.executable, "-c", START + source, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def test_what_the_parent_has_acknowledged_outlives_a_child_that_writes(tmp_path: Path) -> None:
    source = """
store = kvorum.open(sys.argv[1])
for i in range(50):
    store.set(f"k{i}", i)
child = os.fork()
writes = range(50, 250)
if child == 0:
    os._exit(sum(refused(lambda: store.set(f"k{i}", "of the child")) for i in writes) != 200)
for i in writes:
    store.set(f"k{i}", i)
print(ended(child), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(source, tmp_path, code=-9) == "0\n"
    with kvorum.open(tmp_path) as store:
        assert store.get_many(f"k{i}" for i in range(250)) == {f"k{i}": i for i in range(250)}


def test_every_call_of_the_child_is_refused_but_closing(tmp_path: Path) -> None:
    source = """
store = kvorum.open(sys.argv[1])
version = store.set("k", 1).version
if (child := os.fork()) == 0:
    calls = (
        lambda: store.get("k"), lambda: store.get_entry("k"), lambda: store.set("k", 2),
        lambda: store.set("k", 2, version=version), lambda: store.touch("k", 5),
        lambda: store.delete("k"), lambda: store.get_many(["k"]), lambda: store.get_many([]),
        lambda: store.get_entries(["k"]), lambda: store.set_many({"k": 2}),
        lambda: next(store.scan()),
    )
    assert sum(map(refused, calls)) == len(calls)
    with store:
        store.close()
    store.close()
    assert refused(lambda: store.get("k"))
    os._exit(0)
print(ended(child), store.get("k"))
store.set("k", 3)
store.close()
"""
    assert run(source, tmp_path) == "0 1\n"
    with kvorum.open(tmp_path) as store:
        assert store.get("k") == 3
        # The parent ended in order: its child had not touched the mark of that.
        assert [event.node for event in store.get_entry("k").clock] == ["n1"]


@pytest.mark.parametrize(
    "ending",
    ["sys.exit(7)", "del store; gc.collect(); sys.exit(7)", "store.close(); sys.exit(7)"],
    ids=["kept", "collected", "closed"],
)
def test_a_child_that_ends_like_any_program_changes_no_file(tmp_path: Path, ending: str) -> None:
    source = f"""
def files():
    walk = [(top, name) for top, _, names in os.walk(sys.argv[1]) for name in names]
    return {{(top, name): open(os.path.join(top, name), "rb").read() for top, name in walk}}

store = kvorum.open(sys.argv[1])
store.set_many((f"k{{i}}", "x" * 1000) for i in range(2000))
pages = store.scan()
next(pages)
# Their stacks are what makes the C library let go of those of threads that did not survive.
stop = threading.Event()
for _ in range(4):
    threading.Thread(target=stop.wait).start()
before = files()
if (child := os.fork()) == 0:
    {ending}
stop.set()
print(ended(child), files() == before, sum(1 for _ in pages))
store.close()
"""
    assert run(source, tmp_path) == "7 True 1999\n"


def test_a_fork_while_other_threads_write(tmp_path: Path) -> None:
    source = """
store = kvorum.open(sys.argv[1])
acknowledged = []
stop = threading.Event()

def write(n):
    i = 0
    while not stop.is_set():
        store.set(f"{n}.{i}", i)
        acknowledged.append(f"{n}.{i}")
        i += 1

writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
for writer in writers:
    writer.start()
codes = []
for _ in range(8):
    if (child := os.fork()) == 0:
        code = 0 if refused(lambda: store.set("0.0", "of the child")) else 9
        store.close()
        del store
        gc.collect()
        sys.exit(code)
    codes.append(ended(child))
stop.set()
for writer in writers:
    writer.join()
print(*codes, *acknowledged, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    said = run(source, tmp_path, code=-9).split()
    assert said[:8] == ["0"] * 8
    with kvorum.open(tmp_path) as store:
        kept = store.get_many(said[8:])
    assert kept == {key: int(key.partition(".")[2]) for key in said[8:]}


def test_a_pool_of_forked_workers_is_refused(tmp_path: Path) -> None:
    source = """
store = kvorum.open(sys.argv[1])
store.set("kept", 1)

def write(i):
    return refused(lambda: store.set(f"k{i}", i))

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(sum(pool.map(write, range(20))), flush=True)
    pool.close()
    pool.join()
store.set("after", 2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(source, tmp_path, code=-9) == "20\n"
    with kvorum.open(tmp_path) as store:
        assert {entry.key: entry.value for entry in store.scan()} == {"kept": 1, "after": 2}


def test_a_child_that_lives_longer_does_not_keep_the_directory(tmp_path: Path) -> None:
    source = """
store = kvorum.open(sys.argv[1])
store.set("k", 1)
begun, tell = os.pipe()
child = os.fork()
if child == 0:
    os.write(tell, b"x")
    signal.pause()
os.read(begun, 1)
print(child, flush=True)
os.close(1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", START + source, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert parent.wait(60) == -9
        with kvorum.open(tmp_path) as store:
            assert store.get("k") == 1
    finally:
        subprocess.run(["kill", "-9", str(child)], check=True)
        parent.stdout.close()


@pytest.mark.parametrize("before", ["store.close()", "pass"], ids=["closed", "open"])
def test_a_forked_process_opens_no_store_of_its_own(tmp_path: Path, before: str) -> None:
    """The engine's threads would be missing there, and closing would wait for them for ever."""
    source = f"""
store = kvorum.open(sys.argv[1] + "/one")
{before}
if (child := os.fork()) == 0:
    try:
        kvorum.open(sys.argv[1] + "/two")
    except kvorum.errors.ConfigError as error:
        sys.exit(0 if "forkserver" in str(error) else 8)
    sys.exit(9)
print(ended(child), os.listdir(sys.argv[1]))
"""
    assert run(source, tmp_path) == "0 ['one']\n"
