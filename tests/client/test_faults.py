"""Servers that fail: what the client repeats, what it must not, and what it then says."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from kit.http_store import (
    Fault,
    StoreDouble,
    answer,
    answer_and_leave,
    answer_then_close,
    cut_short,
    hang_up,
    keep_silent,
    problem,
    say,
    store_double,
)

import kvorum
import kvorum.aio
from kvorum.client import connection
from kvorum.client.synchronous import Client
from kvorum.model.errors import (
    ConfigError,
    ConnectionFailed,
    KvorumError,
    Overloaded,
    ProtocolError,
    QuorumError,
    RequestError,
    TimeoutExpired,
)

LONG = 30.0
"""A timeout that is never meant to pass; a test that waits for it fails on `promptly`."""


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(f"{store.url}?timeout={LONG}") as client:
        yield client


@pytest.fixture
def other() -> Iterator[StoreDouble]:
    with store_double() as double:
        yield double


@pytest.fixture
def either(store: StoreDouble, other: StoreDouble) -> Iterator[Client]:
    """A client that asks `store` first, then `other`."""
    with kvorum.connect(f"{store.url},{other.address}?timeout={LONG}") as client:
        yield client


@pytest.fixture
def promptly() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < LONG / 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def busy(status: int = 503, outcome: str = "none", **details: Any) -> Fault:
    return answer(problem(status, "overloaded", outcome=outcome, **details))


def freeze(double: StoreDouble) -> None:
    """It takes connections and requests, and answers nothing."""
    double.script(*[keep_silent()] * 100)
    double.ring_fault = keep_silent()


NONSENSE = {
    "not http": say(b"SSH-2.0-OpenSSH_9\r\n"),
    "bad length": say(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
    "two lengths": say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"),
    "huge length": say(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"),
    "endless head": say(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000),
    "only a 1xx": say(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "upgrade": say(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n"),
    "other json": say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"),
}


@pytest.mark.usefixtures("promptly")
class TestUnreachable:
    def test_another_server_is_asked(self, store: StoreDouble) -> None:
        with kvorum.connect(f"kvorum://127.0.0.1:{free_port()},{store.address}") as client:
            assert client.set("k", 1).created
            assert client.get("k") == 1

    def test_with_none_left_nothing_was_done(self) -> None:
        ports = free_port(), free_port()
        url = f"kvorum://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}?timeout={LONG}"
        with kvorum.connect(url) as client:
            for call in (lambda: client.get("k"), lambda: client.set("k", 1)):
                with pytest.raises(ConnectionFailed, match="Are they running") as caught:
                    call()
                assert caught.value.outcome == "none"
                for port in ports:
                    reason = f"Could not connect to 127.0.0.1:{port}: Connection refused"
                    assert caught.value.message.count(reason) == 1

    def test_each_is_named_with_its_own_reason(self, store: StoreDouble) -> None:
        port = free_port()
        store.script(*[keep_silent()] * 10)
        with (
            kvorum.connect(f"kvorum://127.0.0.1:{port},{store.address}") as client,
            pytest.raises(TimeoutExpired) as caught,
        ):
            client.get("k", timeout=0.3)
        assert f"{store.address} did not answer within " in caught.value.message
        assert f"127.0.0.1:{port}: Connection refused" in caught.value.message
        assert "\n" not in caught.value.message

    def test_a_server_that_comes_back_is_used_again(self, store: StoreDouble) -> None:
        with kvorum.connect(store.url) as client:
            client.set("k", 1)
            store.stop()
            with pytest.raises(ConnectionFailed):
                client.get("k")
            store.start()
            assert client.get("k") == 1

    def test_a_name_that_does_not_resolve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown_name(*args: object, **options: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def main() -> None:
            async with kvorum.aio.connect(f"kvorum://nowhere.invalid?timeout={LONG}") as client:
                with pytest.raises(ConnectionFailed, match=r"nowhere\.invalid.*not known"):
                    await client.get("k")

        monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
        asyncio.run(main())


@pytest.mark.usefixtures("promptly")
class TestBrokenAnswer:
    @pytest.mark.parametrize("fault", [hang_up(), cut_short(20), cut_short(150)])
    def test_a_read_is_repeated(self, store: StoreDouble, client: Client, fault: Fault) -> None:
        store.put("k", 1)
        store.script(fault)
        assert client.get("k") == 1

    @pytest.mark.parametrize("method", ["set", "delete"])
    @pytest.mark.parametrize("fault", [hang_up(), cut_short(0), cut_short(20), cut_short(150)])
    def test_a_write_is_not(
        self, store: StoreDouble, other: StoreDouble, either: Client, fault: Fault, method: str
    ) -> None:
        store.put("k", 0)
        store.script(fault)
        with pytest.raises(ConnectionFailed) as caught:
            either.delete("k") if method == "delete" else either.set("k", 1)
        assert caught.value.outcome == "unknown"
        assert (len(store.requests), len(other.requests)) == (1, 0)

    @pytest.mark.parametrize("fault", NONSENSE.values(), ids=NONSENSE)
    def test_nonsense_leaves_a_write_unknown(
        self, store: StoreDouble, client: Client, fault: Fault
    ) -> None:
        store.script(fault)
        with pytest.raises(ProtocolError, match=r"^The answer ") as caught:
            client.set("k", 1)
        assert caught.value.outcome == "unknown"
        assert len(store.requests) == 1
        assert client.set("k", 2).created
        assert store.requests[-1].connection == (1 if fault is NONSENSE["other json"] else 2)

    def test_a_read_gets_past_nonsense(self, store: StoreDouble, client: Client) -> None:
        store.put("k", 1)
        store.script(NONSENSE["not http"], NONSENSE["bad length"])
        assert client.get("k") == 1

    def test_an_answer_that_grows_too_large_is_cut_off(
        self, store: StoreDouble, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "BODY_BYTES_MAX", 1000)
        store.put("k", "x" * 600)
        assert client.get("k") == "x" * 600
        chunk = b"12c\r\n" + b"x" * 300 + b"\r\n"
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        store.script(say(head + 4 * chunk))
        with pytest.raises(ProtocolError, match="at most 1000 are read"):
            client.get("k")

    def test_a_port_that_only_hangs_up_may_be_the_wrong_one(
        self, store: StoreDouble, client: Client
    ) -> None:
        store.script(hang_up())
        with pytest.raises(ConnectionFailed, match="Is this a kvorum HTTP port"):
            client.set("k", 1)
        client.set("k", 1)
        store.script(hang_up())
        with pytest.raises(ConnectionFailed) as caught:
            client.set("k", 1)
        assert "Is this a kvorum HTTP port" not in caught.value.message

    def test_a_second_answer_to_one_request_is_nobodys(
        self, store: StoreDouble, client: Client
    ) -> None:
        good = b'HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\n{"value":1,"metadata":{ }}'
        store.put("k", 2)
        store.script(say(good + good))
        assert client.get("k") == 1
        assert client.get("k") == 2
        assert store.requests[-1].connection == 2

    def test_a_connection_closed_between_calls_is_replaced(
        self, store: StoreDouble, client: Client
    ) -> None:
        store.put("k", 1)
        store.script(answer_then_close())
        assert client.get("k") == 1
        assert client.get("k") == 1
        assert client.get("k") == 1


@pytest.mark.usefixtures("promptly")
class TestRefusals:
    def test_what_changed_nothing_is_repeated(self, store: StoreDouble, client: Client) -> None:
        store.script(busy(), busy())
        assert client.set("k", 1).created
        assert len(store.requests) == 3

    def test_the_repeat_goes_to_another_server(
        self, store: StoreDouble, other: StoreDouble, either: Client
    ) -> None:
        store.script(busy(), busy())
        assert either.set("k", 1).created
        assert (len(store.requests), len(other.requests)) == (1, 1)

    def test_a_write_of_unknown_outcome_is_not_repeated(
        self, store: StoreDouble, either: Client
    ) -> None:
        details: dict[str, Any] = {"needed": 2, "got": 1, "replicas": ["n1", "n2", "n3"]}
        store.script(answer(problem(503, "quorum_not_met", outcome="unknown", **details)))
        with pytest.raises(QuorumError) as caught:
            either.set("k", 1)
        error = caught.value
        assert (error.outcome, error.needed, error.got) == ("unknown", 2, 1)
        assert error.replicas == ["n1", "n2", "n3"]
        assert len(store.requests) == 1

    def test_a_read_is_repeated_whatever_the_server_says_of_its_outcome(
        self, store: StoreDouble, client: Client
    ) -> None:
        store.put("k", 1)
        store.script(answer(problem(504, "timeout", outcome="unknown")))
        assert client.get("k") == 1

    def test_a_wrong_request_is_not_repeated(self, store: StoreDouble, client: Client) -> None:
        store.script(answer(problem(400, "bad_request", detail="w of 9 is more than N")))
        with pytest.raises(RequestError, match="w of 9"):
            client.set("k", 1, w=9)
        assert len(store.requests) == 1

    def test_an_error_that_lasts_is_told(self, store: StoreDouble, client: Client) -> None:
        store.script(*[busy()] * 100)
        with pytest.raises(Overloaded) as caught:
            client.get("k")
        assert caught.value.outcome == "none"

    def test_a_server_is_left_alone_as_long_as_it_asks(
        self, store: StoreDouble, client: Client
    ) -> None:
        store.put("k", 1)
        store.script(busy(retry_after=0.4))
        assert client.get("k") == 1
        first, second = store.requests
        assert second.at - first.at >= 0.4

    def test_the_header_counts_too(self, store: StoreDouble, client: Client) -> None:
        reply = problem(503, "overloaded")
        reply.headers["Retry-After"] = "1"
        store.script(answer(reply))
        client.set("k", 1)
        first, second = store.requests
        assert second.at - first.at >= 1.0

    def test_another_server_is_not_waited_for(
        self, store: StoreDouble, other: StoreDouble, either: Client
    ) -> None:
        store.script(busy(retry_after=LONG - 1))
        assert either.set("k", 1).created
        assert len(other.requests) == 1

    def test_if_it_asks_for_more_time_than_there_is_the_error_is_told_at_once(
        self, store: StoreDouble, client: Client
    ) -> None:
        store.script(busy(retry_after=LONG * 2))
        with pytest.raises(Overloaded):
            client.get("k")


@pytest.mark.usefixtures("promptly")
class TestStopping:
    """A server that is about to stop says `Connection: close`, and does no more than that."""

    def test_the_next_calls_go_to_another_server(
        self, store: StoreDouble, other: StoreDouble, either: Client
    ) -> None:
        store.script(answer_and_leave())
        store.ring_fault = answer_and_leave(problem(503, "unavailable"))
        assert either.set("k", 1).created
        for n in range(4):
            either.set("k", n)
        assert (len(store.requests), len(other.requests)) == (1, 4)

    def test_a_call_that_it_does_not_take_goes_to_another_at_once(
        self, store: StoreDouble, other: StoreDouble
    ) -> None:
        store.script(answer_and_leave(problem(503, "unavailable")))
        with kvorum.connect(f"{store.address},{other.address}", retries=0) as client:
            assert client.set("k", 1).created
        assert (len(store.requests), len(other.requests)) == (1, 1)

    def test_one_that_is_alone_is_asked_again(self, store: StoreDouble, client: Client) -> None:
        store.script(answer_and_leave(), answer_and_leave(problem(503, "unavailable")))
        assert client.set("k", 1).created
        assert not client.set("k", 2).created
        assert [seen.connection for seen in store.requests] == [1, 2, 3]

    def test_one_that_ends_every_connection_is_no_failure(
        self, store: StoreDouble, other: StoreDouble, either: Client
    ) -> None:
        store.script(*[answer_and_leave()] * 20)
        other.script(*[answer_and_leave()] * 20)
        for n in range(10):
            either.set("k", n)
        assert len(store.requests) + len(other.requests) == 10
        assert len(store.surveys) <= 2


QUORUM: Final[dict[str, Any]] = {"needed": 2, "got": 1, "replicas": ["n1", "n2", "n3"]}


@pytest.mark.usefixtures("promptly")
class TestWhatIsTold:
    """What one server says, while others do not."""

    @pytest.fixture
    def third(self) -> Iterator[StoreDouble]:
        with store_double() as double:
            yield double

    def url(self, *doubles: StoreDouble) -> str:
        return f"kvorum://{','.join(double.address for double in doubles)}?timeout={LONG}"

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_the_word_of_one_server_is_worth_more_than_the_silence_of_others(
        self, store: StoreDouble, other: StoreDouble, third: StoreDouble, place: int
    ) -> None:
        silent = [store, other]
        for double in silent:
            freeze(double)
        third.script(*[answer(problem(503, "quorum_not_met", **QUORUM))] * 100)
        order = list(silent)
        order.insert(place, third)
        with kvorum.connect(self.url(*order)) as client:
            with pytest.raises(QuorumError) as caught:
                client.get("k", timeout=3.0)
            error = caught.value
            assert (error.needed, error.got, error.replicas) == (2, 1, ["n1", "n2", "n3"])
            assert [len(double.requests) for double in silent] == [1, 1]
            with pytest.raises(QuorumError):
                client.get("k", timeout=LONG)
            assert [len(double.requests) for double in silent] == [1, 1]

    def test_the_asyncio_client_tells_the_same(
        self, store: StoreDouble, other: StoreDouble
    ) -> None:
        freeze(store)
        other.script(*[answer(problem(503, "quorum_not_met", **QUORUM))] * 100)

        async def main() -> None:
            async with kvorum.aio.connect(self.url(store, other)) as client:
                with pytest.raises(QuorumError):
                    await client.get("k", timeout=2.0)

        asyncio.run(main())
        assert len(store.requests) == 1

    def test_a_servers_reason_is_worth_more_than_that_its_time_was_up(
        self, store: StoreDouble, other: StoreDouble, either: Client
    ) -> None:
        store.script(*[answer(problem(503, "quorum_not_met", **QUORUM))] * 100)
        other.script(*[answer(problem(504, "timeout"))] * 100)
        with pytest.raises(QuorumError):
            either.get("k")

    def test_that_others_are_away_is_not_told_in_its_place(self, store: StoreDouble) -> None:
        store.script(*[busy()] * 100)
        url = f"kvorum://127.0.0.1:{free_port()},{store.address},127.0.0.1:{free_port()}"
        with kvorum.connect(url) as client:
            for call in (lambda: client.get("k"), lambda: client.set("k", 1)):
                with pytest.raises(Overloaded):
                    call()

    def test_silence_before_another_is_asked_is_no_reason_for_fewer_attempts(
        self, monkeypatch: pytest.MonkeyPatch, store: StoreDouble
    ) -> None:
        store.put("k", 1)
        monkeypatch.setattr("kvorum.client.calls.ENTRY_TRY_S_MIN", 0.02)
        monkeypatch.setattr("kvorum.client.calls.ENTRY_TRY_SHARE", 0.0)
        with ExitStack() as running:
            silent = [running.enter_context(store_double()) for _ in range(7)]
            for double in silent:
                freeze(double)
            client = running.enter_context(kvorum.connect(self.url(*silent, store)))
            assert client.get("k") == 1


class TestPatience:
    """How long a read waits for one server shows in the time it lets that one take."""

    def asked_for(self, double: StoreDouble) -> float:
        return int(double.requests[-1].query["timeout_ms"]) / 1000

    def test_a_read_of_an_entry_gives_one_of_several_a_small_part(
        self, store: StoreDouble, either: Client
    ) -> None:
        either.get("k")
        assert LONG * 0.1 < self.asked_for(store) <= LONG * 0.2

    def test_a_read_of_a_list_gives_it_half(self, store: StoreDouble, either: Client) -> None:
        either.get_many(["k"])
        assert LONG * 0.3 < self.asked_for(store) <= LONG * 0.5

    def test_with_little_time_it_gives_it_half_too(
        self, store: StoreDouble, either: Client
    ) -> None:
        either.get("k", timeout=0.9)
        assert 0.3 < self.asked_for(store) <= 0.45

    def test_the_last_that_is_not_suspected_gets_half(
        self, store: StoreDouble, other: StoreDouble
    ) -> None:
        url = f"kvorum://127.0.0.1:{free_port()},{store.address}?timeout={LONG}"
        with kvorum.connect(url) as client:
            client.get("k")
            client.get("k")
            assert LONG * 0.3 < self.asked_for(store) <= LONG * 0.5

    def test_one_that_is_alone_and_a_write_have_all_the_time(
        self, store: StoreDouble, client: Client, either: Client
    ) -> None:
        client.get("k")
        assert self.asked_for(store) > LONG * 0.7
        either.set("k", 1)
        assert self.asked_for(store) > LONG * 0.7

    @pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, -math.inf, 10**400, "5"])
    def test_what_is_no_timeout_is_refused_at_once(
        self, store: StoreDouble, client: Client, seconds: Any
    ) -> None:
        for call in (
            lambda: client.get("k", timeout=seconds),
            lambda: client.set("k", 1, timeout=seconds),
            lambda: client.set_many({"k": 1}, timeout=seconds),
            lambda: client.get_many([], timeout=seconds),
            lambda: list(client.scan(timeout=seconds)),
            lambda: client.status(timeout=seconds),
        ):
            with pytest.raises(ConfigError, match=r"timeout is .* more than 0"):
                call()
        assert store.requests == []


class TestSilence:
    def test_a_write_is_unknown_when_the_time_is_up(
        self, store: StoreDouble, either: Client, promptly: None
    ) -> None:
        store.script(keep_silent())
        with pytest.raises(TimeoutExpired) as caught:
            either.set("k", 1, timeout=0.3)
        assert caught.value.outcome == "unknown"
        assert len(store.requests) == 1

    def test_a_read_that_times_out_changed_nothing(
        self, store: StoreDouble, client: Client, promptly: None
    ) -> None:
        store.script(*[keep_silent()] * 10)
        with pytest.raises(TimeoutExpired) as caught:
            client.get("k", timeout=0.3)
        assert caught.value.outcome == "none"

    def test_a_read_leaves_time_for_another_server_and_asks_that_one_first_then(
        self, store: StoreDouble, other: StoreDouble, either: Client
    ) -> None:
        other.put("k", 1)
        freeze(store)
        assert either.get("k", timeout=2.0) == 1
        assert [either.get("k", timeout=2.0) for _ in range(3)] == [1, 1, 1]
        assert len(store.requests) == 1

    def test_a_server_that_does_not_even_accept(self, promptly: None) -> None:
        with socket.socket() as full, socket.socket() as filler:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            filler.connect(full.getsockname())
            host, port = full.getsockname()
            with kvorum.connect(f"kvorum://{host}:{port}") as client:
                with pytest.raises(ConnectionFailed, match="No connection to") as caught:
                    client.get("k", timeout=0.3)
                assert caught.value.outcome == "none"

    def test_nothing_is_sent_when_the_time_is_up_before(self, store: StoreDouble) -> None:
        async def main() -> None:
            async with kvorum.aio.connect(store.url) as client:
                await client.set("k", 1)
                with pytest.raises(TimeoutExpired, match="time was up before") as caught:
                    await client.set("k", 2, timeout=1e-9)
                assert caught.value.outcome == "none"
            async with kvorum.aio.connect(store.url) as client:
                with pytest.raises(TimeoutExpired, match=r"time was up before .* connected"):
                    await client.get("k", timeout=1e-9)

        asyncio.run(main())
        assert store.value("k") == 1

    def test_waiting_for_a_free_connection_counts(self, store: StoreDouble) -> None:
        async def main() -> None:
            async with kvorum.aio.connect(store.url, connections=1) as client:
                store.script(keep_silent())
                stuck = asyncio.create_task(client.get("k", timeout=LONG))
                while not store.requests:
                    await asyncio.sleep(0.001)
                with pytest.raises(TimeoutExpired, match="became free") as caught:
                    await client.set("k", 1, timeout=0.1)
                assert caught.value.outcome == "none"
                stuck.cancel()
                await asyncio.wait([stuck])
                assert (await client.set("k", 1)).created

        asyncio.run(main())

    def test_a_late_answer_is_never_taken_for_another_calls(self, store: StoreDouble) -> None:
        async def main() -> None:
            async with kvorum.aio.connect(store.url) as client:
                store.put("k", 1)
                store.script(keep_silent())
                call = asyncio.create_task(client.get("k"))
                while not store.requests:
                    await asyncio.sleep(0.001)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert await client.get("k") == 1
                assert [seen.connection for seen in store.requests] == [1, 2]

        asyncio.run(main())

    def test_closing_the_client_ends_what_is_being_connected(self, store: StoreDouble) -> None:
        async def main() -> None:
            client = kvorum.aio.connect(store.url)
            call = asyncio.create_task(client.set("k", 1, timeout=LONG))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(KvorumError):
                await call
            assert store.values() == {}

        asyncio.run(main())

    def test_closing_the_client_ends_the_calls_in_flight(self, store: StoreDouble) -> None:
        async def main() -> None:
            client = kvorum.aio.connect(store.url)
            store.script(keep_silent())
            call = asyncio.create_task(client.set("k", 1, timeout=LONG))
            while not store.requests:
                await asyncio.sleep(0.001)
            await client.close()
            with pytest.raises(ConnectionFailed) as caught:
                await call
            assert caught.value.outcome == "unknown"

        asyncio.run(main())
