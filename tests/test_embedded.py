"""The embedded store: the methods of the client, on real files."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kvorum
from kvorum.errors import WrongType
from kvorum.model.errors import (
    ConfigError,
    InvalidKey,
    InvalidVersion,
    KvorumError,
    NotFound,
    PreconditionFailed,
    RequestError,
    StorageError,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, width=32)
    .filter(lambda x: abs(x) != float("inf")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> kvorum.Embedded:
    return kvorum.open(tmp_path_factory.mktemp("embedded"))


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=20), json_values | st.binary(max_size=50))
def test_what_is_set_is_got(shared: kvorum.Embedded, key: str, value: object) -> None:
    shared.set(key, value)
    assert shared.get(key) == value
    assert type(shared.get(key)) is type(value)


def test_bytes_keep_their_content_type(tmp_path: Path) -> None:
    page = kvorum.TypedBytes(b"<p>", "text/html")
    with kvorum.open(tmp_path / "store") as store:
        version = store.set("k", page).version
        store.set_many({"l": page})
        store.touch("k", 60, version=version)
    with kvorum.open(tmp_path / "store") as store:
        for entry in (store.get_entry("k"), *store.scan()):
            assert (entry.value, entry.content_type) == (b"<p>", "text/html")
            assert entry.value.content_type == "text/html"


def test_everything_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        first = store.set("a", {"n": 10**40})
        store.set("b", b"\x00\xff")
        store.set("c", 1)
        store.delete("c")
    with kvorum.open(tmp_path) as store:
        assert store.get("a") == {"n": 10**40}
        assert store.get("b") == b"\x00\xff"
        assert store.get("c", "gone") == "gone"
        assert store.get_entry("a").version == first.version
        assert sorted(entry.key for entry in store.scan()) == ["a", "b"]
        again = store.set("a", 2, version=first.version)
        # A clean stop: the same actor goes on.
        assert [(e.node, e.counter) for e in again.clock] == [("n1", 5)]


def test_versions_make_siblings_and_resolve_them(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        base = store.set("k", 0)
        store.set("k", 1, version=base.version)
        both = store.set("k", 2, version=base.version)
        assert sorted(sibling.value for sibling in both.siblings) == [1, 2]
        assert store.set("k", 3, version=both.version).siblings == ()
        assert store.get("k") == 3
        # The same value again is the same version.
        assert store.set("k", 3).version == store.get_entry("k").version


def test_conditions(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        first = store.set("k", 1, if_absent=True)
        with pytest.raises(PreconditionFailed):
            store.set("k", 2, if_absent=True)
        second = store.set("k", 2, if_version=first.version)
        with pytest.raises(PreconditionFailed):
            store.set("k", 3, if_version=first.version)
        with pytest.raises(PreconditionFailed):
            store.delete("k", if_version=first.version)
        with pytest.raises(RequestError, match="Both version and if_version are given"):
            store.set("k", 3, version=first.version, if_version=first.version)
        assert store.get("k") == 2
        assert store.delete("k", if_version=second.version).value == 2


@pytest.mark.parametrize("items", [["a"], ["ab"], [("k", 1, 2)], [5]])
def test_what_is_no_pair_is_refused_and_nothing_is_stored(tmp_path: Path, items: Any) -> None:
    with kvorum.open(tmp_path) as store:
        with pytest.raises(WrongType, match=r"is no pair\. Nothing was stored"):
            store.set_many([("first", 1), *items])
        assert list(store.keys()) == []


def test_many_at_once(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        results = store.set_many((f"k{i}", i) for i in range(20_000))
        assert all(isinstance(result, kvorum.Entry) and result.created for result in results)
        assert store.get_many(f"k{i}" for i in range(0, 20_100, 100)) == {
            f"k{i}": i for i in range(0, 20_000, 100)
        }
        assert sum(1 for _ in store.scan()) == 20_000
        mixed = store.set_many([("ok", 1), ("", 2), ("bad", {1, 2})])
        assert [type(result).__name__ for result in mixed] == [
            "Entry",
            "InvalidKey",
            "InvalidValue",
        ]


def test_bad_input_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        other = store.set("other", 1)
        store.set("k", "kept")
        with pytest.raises(InvalidKey):
            store.set("x" * 1025, 1)
        with pytest.raises(InvalidVersion):
            store.set("k", 2, version=other.version)
        with pytest.raises(NotFound):
            store.delete("missing")
        with pytest.raises(NotFound):
            store.get_entry("missing")
        assert store.get("k") == "kept"
    with pytest.raises(KvorumError, match="closed"):
        store.get("k")


def test_a_file_is_no_store(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,name\n")
    with pytest.raises(ConfigError, match=r"people\.csv is not a directory"):
        kvorum.open(file)


def test_an_empty_path_is_not_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="path of the store is empty"):
        kvorum.open("")
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with kvorum.open(tmp_path), pytest.raises(ConfigError, match="Stop that one") as refused:
        kvorum.open(tmp_path)
    # The traceback shows one error, for it says all that its cause did.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_threads_share_a_store(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        threads = [
            threading.Thread(target=lambda n=n: [store.set(f"{n}.{i}", i) for i in range(50)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(1 for _ in store.scan()) == 200


def test_a_kill_loses_nothing_and_begins_a_new_actor(tmp_path: Path) -> None:
    script = (
        "import kvorum, os, sys\n"
        "store = kvorum.open(sys.argv[1])\n"
        "for i in range(100): store.set(f'k{i}', i)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with kvorum.open(tmp_path) as store:
        assert store.get_many(f"k{i}" for i in range(100)) == {f"k{i}": i for i in range(100)}
        assert {e.node for e in store.set("k0", "new").clock} == {"n1", "n1#2"}


def test_what_has_expired_is_gone_and_a_touch_renews(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        entry = store.set("a", 1, ttl=600)
        assert entry.expires_at is not None
        # The clock is read once for the lifetime and once for the dot.
        assert entry.clock[0].timestamp - entry.expires_at + 600_000 in range(1000)
        assert store.get_entry("a").expires_at == entry.expires_at
        expires_at = store.touch("a", 1200)
        assert expires_at is not None
        assert expires_at >= entry.expires_at + 600_000
        assert store.get("a") == 1
        assert store.touch("a", 0) is None
        store.set("b", 1, expires_at=int(time.time() * 1000) + 50)
        (result,) = store.set_many({"c": 1}, ttl=1)
        assert isinstance(result, kvorum.Entry)
        deadline = time.monotonic() + 30
        while store.get_many(["b", "c"]):
            assert time.monotonic() < deadline, "they do not expire"
            time.sleep(0.02)
        assert [entry.key for entry in store.scan()] == ["a"]
        with pytest.raises(NotFound):
            store.touch("b", 5)
        for ttl in (-1, 10**30):
            with pytest.raises(RequestError, match="A ttl is 1 to"):
                store.set("a", 2, ttl=ttl)
        with pytest.raises(RequestError):
            store.set("a", 2, ttl=1, expires_at=5)
        assert store.get("a") == 1


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


@pytest.mark.parametrize("lose", [shutil.rmtree, move_away])
def test_a_store_whose_directory_is_lost_takes_nothing_more(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "data"
    store = kvorum.open(path)
    store.set("a", 1)
    lose(path)
    for _ in range(2):
        with pytest.raises(StorageError, match=f"data directory {path} is no longer the one"):
            store.set("a", 2)
    with pytest.raises(StorageError, match="is no longer the one"):
        store.get("a")
    with pytest.raises(StorageError, match="is no longer the one"):
        store.close()
    store.close()
    assert not path.exists()


WRITE_WHEN_ASKED = """
import sys, kvorum
with kvorum.open(sys.argv[1]) as store:
    for line in sys.stdin:
        store.set_many((f"{line.strip()}-{n}", "y" * 100_000) for n in range(100))
        print("stored", flush=True)
"""


def test_a_store_that_came_after_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data"
    before = kvorum.open(path)
    before.set_many((f"before-{n}", "x" * 100_000) for n in range(200))
    shutil.rmtree(path)
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_WHEN_ASKED, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as after:
        assert after.stdin is not None
        assert after.stdout is not None
        print("first", file=after.stdin, flush=True)
        assert after.stdout.readline() == "stored\n"
        for n in range(50):
            with pytest.raises(StorageError):
                before.set(f"before-{n}", "z" * 100_000)
        with pytest.raises(StorageError):
            before.close()
        del before
        gc.collect()
        print("second", file=after.stdin, flush=True)
        assert after.stdout.readline() == "stored\n"
        after.stdin.close()
        assert after.wait() == 0
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    with kvorum.open(copy) as again:
        assert len(list(again.scan())) == 200


def test_a_store_can_be_opened_where_one_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "data"
    store = kvorum.open(path)
    store.set("a", 1)
    shutil.rmtree(path)
    with pytest.raises(StorageError):
        store.close()
    with kvorum.open(path) as again:
        assert again.get("a") is None


def test_a_relative_path_outlives_a_change_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with kvorum.open("data") as store:
        store.set("a", 1)
        monkeypatch.chdir("/")
        store.set_many((f"large-{n}", "x" * 100_000) for n in range(100))
    with kvorum.open(tmp_path / "data") as again:
        assert again.get("a") == 1
