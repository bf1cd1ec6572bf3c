"""Calls go to the servers that own the key, where the servers tell who that is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http_store import Fault, StoreDouble, answer, keep_silent, problem, say, store_double

import kvorum
import kvorum.aio
from kvorum.client.answers import Answer
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.requests import Subject
from kvorum.client.ring import Ring, read
from kvorum.cluster.view import ClusterView
from kvorum.model.errors import ConnectionFailed, TimeoutExpired
from kvorum.model.keys import TOKEN_HASHES, encode_key
from kvorum.model.placement import Placement
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology
from kvorum.replication.ring_document import ring_document

SECONDS_MAX: Final = 20.0


def topology(count: int, replicas: int = 2, **fields: Any) -> Topology:
    """Nodes n1, n2, ... at addresses where nothing listens."""
    nodes = tuple(
        NodeSpec(name=f"n{i}", http=f"[::1]:{i}", peer=f"[::2]:{i}") for i in range(1, 1 + count)
    )
    namespaces = {
        "default": NamespaceSettings.majority(replicas),
        "single": NamespaceSettings.majority(1),
    }
    return Topology(**{"cluster": "test", "nodes": nodes, "namespaces": namespaces, **fields})


def document(of: Topology, node: str) -> dict[str, Any]:
    ring: dict[str, Any] = msgspec.to_builtins(ring_document(ClusterView(of, of.number_of(node))))
    return ring


class Owners:
    """Of a key, as a node works them out."""

    def __init__(self, of: Topology) -> None:
        self._topology = of
        self._placement = Placement(of)

    def __call__(self, key: str, namespace: str = "default") -> list[str]:
        of, placement = self._topology, self._placement
        token = TOKEN_HASHES[of.token_hash](encode_key(key), of.token_seed)
        replicas = of.namespaces[namespace].replicas
        found = placement.owners(placement.partition(token), PlacementRule(replicas))
        return [of.nodes[node].name for node in found]


def key_of(of: Topology, *nodes: str) -> str:
    """A key whose owners begin with `nodes`."""
    owners = Owners(of)
    return next(k for k in map(str, range(10_000)) if owners(k)[: len(nodes)] == [*nodes])


class Servers:
    """Servers that are the nodes n3, n1, n2 of one topology, in this order in the URL."""

    def __init__(self, doubles: list[StoreDouble], of: Topology) -> None:
        self.of = of
        self.node = dict(zip(("n3", "n1", "n2"), doubles, strict=True))
        self.url = f"kvorum://{','.join(double.address for double in doubles)}?timeout=30"
        self.tell(of)

    def tell(self, of: Topology, *nodes: str) -> None:
        """Have `nodes`, or all, tell the ring of `of` from now on."""
        for name in nodes or self.node:
            self.node[name].documents = {"/ring": document(of, name)}

    def asked(self) -> Counter[str]:
        """How many requests each has had, and forget them."""
        counts = Counter({name: len(double.requests) for name, double in self.node.items()})
        for double in self.node.values():
            double.requests.clear()
        return +counts

    def surveys(self) -> list[int]:
        return [len(double.surveys) for double in self.node.values()]


@pytest.fixture
def servers() -> Iterator[Servers]:
    with ExitStack() as running:
        doubles = [running.enter_context(store_double()) for _ in range(3)]
        yield Servers(doubles, topology(3))


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvorum.client.survey.ANSWER_S", SECONDS_MAX)


async def rest() -> None:
    """Until the client has no more to do on its own account."""
    async with asyncio.timeout(SECONDS_MAX):
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0.001)


async def away(double: StoreDouble) -> None:
    """Stop it, and let the client see that its connections are closed."""
    double.stop()
    for _ in range(5):
        await asyncio.sleep(0)


async def acquainted(servers: Servers, client: AsyncClient) -> None:
    await client.set("first", 1)
    await rest()
    servers.asked()


def with_client(servers: Servers, play: Callable[[AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with kvorum.aio.connect(servers.url) as client:
            await play(client)

    asyncio.run(main())


# The ring as it is told


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
LABELS = st.sampled_from(["a", "b", "c"])


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    nodes = tuple(
        NodeSpec(
            name=name,
            http=f"127.0.0.1:{2 * i + 1}",
            peer=f"127.0.0.1:{2 * i + 2}",
            dc=draw(LABELS),
            rack=draw(LABELS),
            host=draw(st.just("") | LABELS),
            weight=draw(st.floats(0.001, 1000)),
        )
        for i, name in enumerate(names)
    )
    replicas = st.integers(1, len(nodes)).map(NamespaceSettings.majority)
    token_hash = draw(st.sampled_from(sorted(TOKEN_HASHES)))
    return Topology(
        cluster="test",
        nodes=nodes,
        partitions=1 << draw(st.integers(0, 6)),
        token_hash=token_hash,
        token_seed=draw(st.integers(0, (1 << 32) - 1)) if token_hash == "murmur3" else 0,
        namespaces=draw(st.dictionaries(NAMES, replicas, max_size=2)),
        secret=draw(st.binary(min_size=16, max_size=32)),
    )


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(max_examples=15)
@given(topologies(), st.lists(KEYS, min_size=1, max_size=10), st.data())
def test_a_client_finds_the_owners_that_the_nodes_find(
    of: Topology, keys: list[str], data: st.DataObject
) -> None:
    local = data.draw(st.sampled_from(of.nodes)).name
    told = read(Answer(200, msgspec.json.encode(document(of, local))))
    assert told.node == local
    ring, owners = Ring(told.topology), Owners(of)
    for key in keys:
        for namespace in of.namespaces:
            assert ring.owners(Subject(namespace, key)) == owners(key, namespace)
        assert ring.owners(Subject(None, key)) == owners(key)
    assert ring.owners(Subject("none of them", keys[0])) == []


def test_the_secret_is_not_told() -> None:
    of = topology(3, secret=b"nobody's business", secret_file="/etc/kvorum/secret")
    told = msgspec.json.encode(document(of, "n1"))
    assert b"nobody" not in told
    assert b"/etc" not in told


# Where calls go


def test_a_blind_write_goes_to_the_first_owner(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        for first in servers.node:
            key = key_of(servers.of, first)
            for n in range(4):
                written = await client.set(key, n)
            await client.set(key, 4, if_version=written.version)
            await client.touch(key, 60)
            await client.delete(key)
            assert servers.asked() == {first: 7}

    with_client(servers, play)


def test_reads_and_writes_with_a_version_are_spread_over_the_owners(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        key = key_of(servers.of, "n2", "n1")
        for n in range(10):
            await client.get(key)
            await client.set(key, n)  # does not disturb the turns of the reads
        assert servers.asked() == {"n2": 5 + 10, "n1": 5}
        for n in range(10):
            await client.set(key, n, version="v1")
        assert servers.asked() == {"n2": 5, "n1": 5}

    with_client(servers, play)


def test_each_namespace_has_owners_of_its_own(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        [only] = Owners(servers.of)("k", "single")
        for _ in range(6):
            await client.get("k", namespace="single")
        assert servers.asked() == {only: 6}

    with_client(servers, play)


def test_what_is_about_no_entry_goes_to_all_in_turn(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        for n in range(6):
            await client.set_many({f"k{n}": n})
        assert servers.asked() == {"n1": 2, "n2": 2, "n3": 2}

    with_client(servers, play)


def test_when_owners_are_away_the_next_is_asked_then_the_others(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        key = key_of(servers.of, "n2", "n3")
        await away(servers.node["n2"])
        for n in range(3):
            await client.set(key, n)
        assert servers.asked() == {"n3": 3}
        await away(servers.node["n3"])
        await client.set(key, 3)
        assert await client.get(key) == 3
        assert servers.asked() == {"n1": 2}

    with_client(servers, play)


def test_an_owner_that_is_busy_is_left_alone(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        key = key_of(servers.of, "n2", "n3")
        servers.node["n2"].script(answer(problem(503, "overloaded", retry_after=20)))
        await client.set(key, 1)
        assert servers.asked() == {"n2": 1, "n3": 1}

    with_client(servers, play)


def test_where_no_server_is_an_owner_all_are_asked_in_turn(servers: Servers) -> None:
    of = topology(9)
    servers.tell(of)

    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        strange = key_of(of, "n7", "n8")
        for n in range(6):
            await client.set(strange, n)
        assert servers.asked() == {"n1": 2, "n2": 2, "n3": 2}
        await client.set(key_of(of, "n7", "n1"), 1)
        assert servers.asked() == {"n1": 1}

    with_client(servers, play)


# How it is found out


def test_each_server_is_asked_once_in_a_while(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(client: AsyncClient) -> None:
        for n in range(20):
            await client.set(f"k{n}", n)
            await rest()
        assert servers.surveys() == [1, 1, 1]
        monkeypatch.setattr("kvorum.client.survey.PERIOD_S", 0.0)

    with_client(servers, play)
    with_client(servers, lambda client: repeat_until(client, lambda: min(servers.surveys()) >= 4))


async def repeat_until(client: AsyncClient, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():
            await client.get("k")
            await rest()


def test_a_client_that_does_nothing_asks_nothing(servers: Servers) -> None:
    async def play(_: AsyncClient) -> None:
        await rest()

    with_client(servers, play)
    assert servers.surveys() == [0, 0, 0]


def test_one_server_is_not_asked_for_what_cannot_matter(store: StoreDouble) -> None:
    with kvorum.connect(store.url) as client:
        for n in range(3):
            assert client.set("k", n).value == n
    assert (len(store.requests), len(store.surveys)) == (3, 0)


def test_a_server_that_is_back_is_asked_again(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvorum.client.server.FIRST_PAUSE_S", 0.0)
    key = key_of(servers.of, "n2", "n3")

    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        await away(servers.node["n2"])
        await client.set(key, 1)
        await rest()
        servers.node["n2"].start()
        await client.set(key, 2)
        await rest()
        await client.set(key, 3)
        assert servers.surveys() == [1, 1, 2]
        assert servers.asked() == {"n3": 2, "n2": 1}

    with_client(servers, play)


def test_a_server_that_is_back_when_no_other_was_left_has_all_surveyed(servers: Servers) -> None:
    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        for double in servers.node.values():
            await away(double)
        with pytest.raises(ConnectionFailed):
            await client.get("k")
        for double in servers.node.values():
            double.start()
        await client.get("k")
        await rest()
        assert servers.surveys() == [2, 2, 2]

    with_client(servers, play)


def test_a_server_that_fell_silent_costs_no_further_call_its_time(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is probed in the background, by each call here, and asked only once that is answered."""
    key = key_of(servers.of, "n2", "n3")
    silent = servers.node["n2"]

    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        monkeypatch.setattr("kvorum.client.server.FIRST_PAUSE_S", 0.0)
        monkeypatch.setattr("kvorum.client.survey.ANSWER_S", 0.05)
        silent.script(keep_silent())
        silent.ring_fault = keep_silent()
        with pytest.raises(TimeoutExpired):
            await client.set(key, 1, timeout=0.2)
        for n in range(4):
            await client.set(key, n)
            assert await client.get(key) == n
            await rest()
        assert servers.asked() == {"n2": 1, "n3": 8}
        assert len(silent.surveys) > 2
        monkeypatch.setattr("kvorum.client.survey.ANSWER_S", SECONDS_MAX)
        silent.ring_fault = None
        await client.set(key, 9)
        await rest()
        await client.set(key, 10)
        assert servers.asked() == {"n3": 1, "n2": 1}

    with_client(servers, play)


@pytest.mark.parametrize(
    "sign_of_life", [answer(problem(404, "unknown_path")), answer(problem(503, "overloaded"))]
)
def test_any_answer_to_a_probe_ends_the_suspicion(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, sign_of_life: Fault
) -> None:
    key = key_of(servers.of, "n2", "n3")
    monkeypatch.setattr("kvorum.client.server.FIRST_PAUSE_S", 0.0)

    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        servers.node["n2"].script(keep_silent())
        servers.node["n2"].ring_fault = sign_of_life
        with pytest.raises(TimeoutExpired):
            await client.set(key, 1, timeout=0.2)
        await client.set(key, 2)
        await rest()
        await client.set(key, 3)
        assert servers.asked() == {"n2": 2, "n3": 1}

    with_client(servers, play)


def test_of_differing_rings_the_latest_counts(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvorum.client.survey.PERIOD_S", 0.0)
    later = topology(3, epoch=2, token_seed=1)
    before, after = Owners(servers.of), Owners(later)
    key = next(k for k in map(str, range(99)) if before(k)[0] != after(k)[0])

    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        await client.set(key, 1)
        await rest()
        assert servers.asked() == {before(key)[0]: 1}
        servers.tell(later, "n1")
        await acquainted(servers, client)
        await client.set(key, 1)
        assert servers.asked() == {after(key)[0]: 1}

    with_client(servers, play)


def test_a_server_of_another_cluster_owns_nothing(servers: Servers) -> None:
    key = key_of(servers.of, "n2", "n3")
    servers.tell(topology(3, cluster="other", epoch=1), "n2")
    servers.tell(topology(3, epoch=2), "n1", "n3")

    async def play(client: AsyncClient) -> None:
        await acquainted(servers, client)
        for n in range(3):
            await client.set(key, n)
        assert servers.asked() == {"n3": 3}

    with_client(servers, play)


def no_ring(**changes: Any) -> Fault:
    """The ring of n1 with other fields; without those that are None."""
    fields = document(topology(3), "n1") | changes
    told = {name: value for name, value in fields.items() if value is not None}
    return say(_ok(msgspec.json.encode(told)))


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


GARBAGE: Final = {
    "an older node": no_ring(node=None, token_seed=None),
    "no seed": no_ring(token_seed=None),
    "no such hash": no_ring(token_hash="crc"),
    "no nodes": no_ring(nodes=[]),
    "more replicas than nodes": no_ring(namespaces={"default": {"replicas": 9}}),
    "partitions": no_ring(partitions=-4),
    "other types": no_ring(epoch="one"),
    "another document": say(_ok(b"[]")),
    "not json": say(_ok(b"\xff{")),
    "deep json": say(_ok(b"[" * 100_000)),
    "not http": say(b"SSH-2.0\r\n"),
    "cut off": say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", close=True),
    "not found": answer(problem(404, "unknown_path")),
    "broken": answer(problem(500, "error")),
    "silence": keep_silent(),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_ring_changes_nothing(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, garbage: Fault
) -> None:
    monkeypatch.setattr("kvorum.client.survey.PERIOD_S", 0.0)
    key = key_of(servers.of, "n2")

    async def unknown(client: AsyncClient) -> None:
        await acquainted(servers, client)
        for n in range(6):
            await client.set(key, n)
            await rest()
        assert servers.asked() == {"n1": 2, "n2": 2, "n3": 2}

    async def known(client: AsyncClient) -> None:
        await acquainted(servers, client)
        for double in servers.node.values():
            double.ring_fault = garbage
        monkeypatch.setattr("kvorum.client.survey.ANSWER_S", 0.1)
        for n in range(3):
            await client.set(key, n)
            await rest()
        assert servers.asked() == {"n2": 3}

    with_client(servers, known)
    assert min(servers.surveys()) > 1
    with_client(servers, unknown)


def test_calls_do_not_wait_for_it(servers: Servers) -> None:
    for double in servers.node.values():
        double.ring_fault = keep_silent()

    async def play(client: AsyncClient) -> None:
        while servers.surveys() != [1, 1, 1]:
            await client.set("k", 0)
        servers.asked()
        for n in range(9):
            await client.set("k", n)
        assert servers.asked() == {"n1": 3, "n2": 3, "n3": 3}
        assert asyncio.all_tasks() != {asyncio.current_task()}

    with_client(servers, play)


def test_closing_ends_it(servers: Servers) -> None:
    for double in servers.node.values():
        double.ring_fault = keep_silent()

    async def main() -> None:
        client = kvorum.aio.connect(servers.url)
        await client.set("k", 1)
        await repeat_while(lambda: min(servers.surveys()) == 0)
        await client.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def repeat_while(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while condition():
            await asyncio.sleep(0.001)


def test_the_synchronous_client_does_the_same(servers: Servers) -> None:
    key = key_of(servers.of, "n2")
    deadline = time.monotonic() + SECONDS_MAX
    with kvorum.connect(servers.url) as client:
        while True:
            for n in range(3):
                client.set(key, n)
            if servers.asked() == {"n2": 3}:
                return
            assert time.monotonic() < deadline


PROGRAMS: Final = {
    "blocking": "import sys, kvorum; c = kvorum.connect(sys.argv[1]); c.set('k', 1)",
    "asyncio": (
        "import asyncio, sys, kvorum.aio; c = kvorum.aio.connect(sys.argv[1]);"
        "asyncio.run(c.set('k', 1))"
    ),
}


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_closes_nothing_ends_silently(servers: Servers, source: str) -> None:
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", source, servers.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
