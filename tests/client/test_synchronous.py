"""What is the synchronous client's own: its thread, and how that ends."""

from __future__ import annotations

import gc
import inspect
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kit.http_store import StoreDouble, keep_silent
from kit.waiting import eventually

import kvorum
from kvorum.model.errors import ConfigError, ConnectionFailed


def client_threads() -> int:
    return sum(thread.name == "kvorum-client" for thread in threading.enumerate())


def run_python(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", source, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_threads_share_a_client(store: StoreDouble) -> None:
    with kvorum.connect(store.url) as client, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: client.set(f"k{n}", n), range(300)))
        values = list(threads.map(lambda n: client.get(f"k{n}"), range(300)))
    assert values == list(range(300))


def test_closing_ends_the_thread_and_says_so(store: StoreDouble) -> None:
    client = kvorum.connect(store.url)
    client.set("k", 1)
    assert client_threads() == 1
    client.close()
    client.close()
    assert client_threads() == 0
    with pytest.raises(ConfigError, match="closed"):
        client.get("k")


def test_closing_ends_the_calls_of_other_threads(store: StoreDouble) -> None:
    store.script(keep_silent())
    client = kvorum.connect(store.url)
    with ThreadPoolExecutor(1) as other:
        call = other.submit(client.set, "k", 1, timeout=30)
        eventually(lambda: bool(store.requests), "the request")
        client.close()
        with pytest.raises(ConnectionFailed) as caught:
            call.result(timeout=10)
    assert caught.value.outcome == "unknown"


def test_a_call_that_is_interrupted_ends_and_the_client_goes_on(store: StoreDouble) -> None:
    store.script(keep_silent())
    with kvorum.connect(store.url) as client:
        main = threading.get_ident()

        def interrupt() -> None:
            eventually(lambda: bool(store.requests), "the request")
            signal.pthread_kill(main, signal.SIGINT)

        with ThreadPoolExecutor(1) as other:
            other.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.set("k", 1, timeout=30)
        client.set("k", 2)
        assert client.get("k") == 2


def test_items_may_be_made_by_calls_of_the_client_itself(store: StoreDouble) -> None:
    with kvorum.connect(store.url) as client:
        client.set_many({"a": 1, "b": 2})
        copies = ((f"{key} again", client.get(key)) for key in ("a", "b"))
        client.set_many(items=copies)
        assert client.get_many(keys=(f"{key} again" for key in "ab")) == {
            "a again": 1,
            "b again": 2,
        }


def test_a_call_from_the_background_thread_is_refused_and_waits_for_nothing(
    store: StoreDouble,
) -> None:
    class Asking(dict[str, int]):
        def items(self) -> Any:
            return client.get("k")

    with kvorum.connect(store.url) as client:
        with pytest.raises(ConfigError, match="its own background thread"):
            client.set("k", Asking(a=1))
        assert client.get("k") is None


def test_methods_look_as_if_they_were_written_out() -> None:
    for name in ("get", "set", "set_many", "begin_repair"):
        method, twin = getattr(kvorum.Client, name), getattr(kvorum.AsyncClient, name)
        assert inspect.signature(method) == inspect.signature(twin)
        assert method.__doc__ == twin.__doc__
        assert method.__qualname__ in (f"Client.{name}", f"BlockingStore.{name}")
        assert not inspect.iscoroutinefunction(method)


def test_a_forgotten_client_ends_its_thread(store: StoreDouble) -> None:
    client = kvorum.connect(store.url)
    client.set("k", 1)
    del client
    gc.collect()
    deadline = time.monotonic() + 10
    while client_threads() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert client_threads() == 0


def test_a_program_that_closes_nothing_ends_silently(store: StoreDouble) -> None:
    source = "import sys, kvorum; c = kvorum.connect(sys.argv[1]); c.set('k', 1); print(c.get('k'))"
    done = run_python(source, store.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_after_a_fork_the_child_is_told_to_connect_again(store: StoreDouble) -> None:
    source = """
import os, sys, warnings, kvorum
warnings.simplefilter("ignore", DeprecationWarning)
client = kvorum.connect(sys.argv[1])
client.set("k", 1)
if os.fork() == 0:
    try:
        client.get("k")
    except kvorum.errors.ConfigError as error:
        print(error, flush=True)
    client.close()
    with kvorum.connect(sys.argv[1]) as own:
        print(own.get("k"), flush=True)
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), client.get("k"))
client.close()
"""
    done = run_python(source, store.url)
    assert done.stderr == ""
    assert "fork" in done.stdout
    assert done.stdout.splitlines()[1:] == ["1", "0 1"]


def test_after_a_fork_an_async_client_is_the_parents(store: StoreDouble) -> None:
    source = """
import asyncio, os, sys, warnings, kvorum
warnings.simplefilter("ignore", DeprecationWarning)
client = kvorum.aio.connect(sys.argv[1])
unused = kvorum.aio.connect(sys.argv[1])

async def child():
    try:
        await client.get("k")
    except kvorum.errors.ConfigError as error:
        print(error, flush=True)
    await client.close()
    print(await unused.get("k"), flush=True)
    await unused.close()

loop = asyncio.new_event_loop()
loop.run_until_complete(client.set("k", 1))
if os.fork() == 0:
    asyncio.run(child())
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), loop.run_until_complete(client.get("k")))
loop.run_until_complete(client.close())
loop.close()
"""
    done = run_python(source, store.url)
    assert done.stderr == ""
    assert "before a fork" in done.stdout
    assert done.stdout.splitlines()[1:] == ["1", "0 1"]


def test_importing_kvorum_loads_nothing_it_may_not_need() -> None:
    source = (
        "import sys, kvorum; print(sorted({'asyncio', 'msgspec', 'httptools'} & set(sys.modules)))"
    )
    assert run_python(source).stdout == "[]\n"


def test_a_name_kvorum_does_not_have() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        kvorum.nonsense  # noqa: B018
    assert {"connect", "aio", "Entry"} <= set(dir(kvorum))
