"""What a node makes of connections that are none of its peers', or of peers that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from kit.network import QUICK, Cluster, Node, Play, Stranger, hello_of, ops, until

from kvorum.links.limits import LinksLimits
from kvorum.links.machine import LinkLimits
from kvorum.wire.batches import decode_batch
from kvorum.wire.frames import (
    FRAME_BYTES_MAX,
    HANDSHAKE_BYTES_MAX,
    HANDSHAKE_EPOCH,
    HEADER_BYTES,
    PREFACE,
    encode_frame,
)
from kvorum.wire.handshake import (
    NONCE_BYTES,
    Crossed,
    EarlierHello,
    Hello,
    Reject,
    Versions,
    Welcome,
    decode_greeting,
    encode_greeting,
)
from kvorum.wire.messages import Message, Write, Wrote
from kvorum.wire.pieces import PIECE_MARK, WHOLE_BYTES_MAX


async def joined(cluster: Cluster, node: Node, other: int) -> Stranger:
    """A stranger that `node` takes for its peer `other`."""
    stranger = await cluster.stranger(node.index)
    assert await stranger.handshake(hello_of(node, other)) == Welcome()
    await until(lambda: ("up", other) in node.inbox.heard)
    return stranger


GARBAGE = {
    "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a wrong preface": PREFACE[:-1] + b"?",
    "a damaged header": PREFACE + bytes(HEADER_BYTES),
    "no handshake message": PREFACE + encode_frame(HANDSHAKE_EPOCH, b"hello"),
    "the wrong handshake message": PREFACE
    + encode_frame(HANDSHAKE_EPOCH, encode_greeting(Welcome())),
    "too long a handshake": PREFACE
    + encode_frame(HANDSHAKE_EPOCH, bytes(HANDSHAKE_BYTES_MAX + 1))[:HEADER_BYTES],
    "a batch at once": PREFACE + encode_frame(1, b"\x90"),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_shown_the_door_and_nobody_else_suffers(
    play: Play, garbage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            b.send(0, ops([1]))
            await until(lambda: a.inbox.received)
            for _ in range(3):
                stranger = await cluster.stranger(0)
                stranger.say(GARBAGE[garbage])
                assert await stranger.closed_by_other_side() == b""
            assert caplog.text.count("closed a connection from 127.0.0.1: ") == 1
            assert a.network.peers.traffic.protocol_errors == 3
            b.send(0, ops([2]))
            await until(lambda: len(a.inbox.received) == 2)
            assert a.inbox.heard == [("up", 1), ("message", 1), ("message", 1)]

    play(scenario)


def telling(node: Node) -> list[bytes]:
    """What an outsider must not hear from `node`."""
    hello = node.network.peers.hello
    words = [hello.cluster, hello.fingerprint, hello.node_id, *node.network.peers._by_name]
    # Two random bytes may well look like the name of a node.
    return [word.encode() for word in words if len(word) > 3]


def test_who_does_not_know_the_secret_learns_nothing_and_is_named_in_the_log(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(3) as cluster:
            a = await cluster.start(0)
            for _ in range(3):
                stranger = await cluster.stranger(0)
                stranger.know(b"what a stranger may guess")
                await stranger.meet()
                stranger.greet(hello_of(a, 1))
                assert await stranger.closed_by_other_side() == b""
                assert len(stranger.heard) < 100
                assert not any(word in stranger.heard for word in telling(a))
            said = "closed a connection from 127.0.0.1: It does not know this node's cluster secret"
            assert caplog.text.count(said) == 1
            assert a.inbox.heard == []
            assert a.identities == []
            await joined(cluster, a, 1)

    play(scenario)


def test_who_listens_in_the_place_of_a_node_learns_nothing_from_its_callers(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            impostor = await cluster.impostor(1)
            a = await cluster.start(0)
            a.send(1, [Write(1, b"key", b"a record")])
            stranger = await cluster.called(impostor)
            stranger.know(b"what a stranger may guess")
            await stranger.meet()
            await stranger.hear()
            stranger.greet(hello_of(a, 1))
            assert await stranger.closed_by_other_side() == b""
            assert not any(word in stranger.heard for word in [*telling(a), b"n0", b"a record"])
            assert a.identities == []
            await until(lambda: ("lost", 1) in a.inbox.heard)

    play(scenario)


def test_who_is_closed_in_its_greeting_is_told_to_look_at_the_secret(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with (
            Cluster(2, secret=b"the secret of ours") as ours,
            Cluster(2, secret=b"the secret of theirs") as theirs,
        ):
            a = await ours.start(0)
            await theirs.start(1)
            a.reach(1, theirs.addresses[1])
            a.send(1, ops([1]))
            await until(lambda: ("lost", 1) in a.inbox.heard)
            assert "check that both have the same cluster secret" in caplog.text
            assert "closed a connection from 127.0.0.1: It does not know" in caplog.text

    play(scenario)


def test_a_greeting_that_was_recorded_opens_no_second_link(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            first = await cluster.stranger(0)
            await first.meet()
            recorded = first.cipher.seal(hello_of(a, 1))
            first.frame(recorded)
            await first.hear()
            await first.leave()
            second = await cluster.stranger(0)
            second.say(PREFACE)
            second.frame(first.cipher.challenge)
            await second.hear()
            second.frame(recorded)
            assert await second.closed_by_other_side() == b""
            assert a.network.peers.traffic.protocol_errors == 1
            assert a.inbox.heard == []

    play(scenario)


def test_a_node_is_not_let_in_by_its_own_words(play: Play) -> None:
    """Whoever it calls calls it in turn, and passes on what it says."""

    async def scenario() -> None:
        async with Cluster(2) as cluster:
            impostor = await cluster.impostor(1)
            a = await cluster.start(0)
            a.send(1, ops([1]))
            called = await cluster.called(impostor)
            caller = await cluster.stranger(0)
            caller.say(PREFACE)
            caller.frame(await called.hear())
            called.say(PREFACE)
            called.frame(await caller.hear())
            caller.frame(await called.hear())
            called.frame(await caller.hear())
            assert await called.closed_by_other_side() == b""
            assert await caller.closed_by_other_side() == b""
            assert not any(word in called.heard + caller.heard for word in [*telling(a), b"n0"])
            assert ("up", 1) not in a.inbox.heard
            assert a.identities == []

    play(scenario)


def test_an_older_node_is_told_that_the_versions_differ_and_nothing_else(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            older = await cluster.stranger(0)
            older.say(PREFACE)
            older.frame(encode_greeting(EarlierHello(2)))
            answer = decode_greeting(await older.hear())
            assert isinstance(answer, Reject)
            assert "speaks version 6 of the protocol" in answer.reason
            assert "one that speaks version 2" in answer.reason
            assert "Run the same version of kvorum" in answer.reason
            assert await older.closed_by_other_side() == b""
            assert not any(word in older.heard for word in telling(a))
            assert f"closed a connection from 127.0.0.1: refused: {answer.reason}" in caplog.text

    play(scenario)


def test_a_node_of_the_last_version_is_told_which_ones_both_speak(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            await cluster.start(0)
            older = await cluster.stranger(0)
            older.say(PREFACE)
            older.frame(msgspec.msgpack.encode([5, 3, bytes(NONCE_BYTES)]))
            answer = decode_greeting(await older.hear())
            assert isinstance(answer, Reject)
            assert "one that speaks version 3 do not understand each other" in answer.reason

    play(scenario)


def test_who_also_speaks_other_versions_is_let_in(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            later = await cluster.stranger(0)
            later.know(cluster.topology.secret, Versions(3, 9))
            assert await later.handshake(hello_of(a, 1)) == Welcome()
            await until(lambda: ("up", 1) in a.inbox.heard)

    play(scenario)


@pytest.mark.parametrize("said", [b"", PREFACE, PREFACE + bytes(3)])
def test_who_does_not_finish_the_handshake_in_time_is_closed(play: Play, said: bytes) -> None:
    async def scenario() -> None:
        async with Cluster(2, LinksLimits(link=LinkLimits(handshake_s=0.05))) as cluster:
            await cluster.start(0)
            stranger = await cluster.stranger(0)
            stranger.say(said)
            assert await stranger.closed_by_other_side() == b""

    play(scenario)


@pytest.mark.parametrize("proven", [False, True])
def test_who_stops_in_the_middle_of_its_greeting_is_closed(play: Play, proven: bool) -> None:
    async def scenario() -> None:
        async with Cluster(2, LinksLimits(link=LinkLimits(handshake_s=0.2))) as cluster:
            a = await cluster.start(0)
            stranger = await cluster.stranger(0)
            await stranger.meet()
            if proven:
                stranger.greet(hello_of(a, 1))
                await stranger.hear()
            assert await stranger.closed_by_other_side() == b""
            assert a.inbox.heard == []

    play(scenario)


def test_connections_in_their_handshake_are_bounded(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(3, LinksLimits(greeting_max=2)) as cluster:
            a = await cluster.start(0)
            peer = await joined(cluster, a, 1)
            first = await cluster.stranger(0)
            await first.meet()
            second = await cluster.stranger(0)
            second.say(PREFACE)
            third = await cluster.stranger(0)
            assert await third.closed_by_other_side() == b""
            first.greet(hello_of(a, 2))
            assert isinstance(await first.hear_greeting(), Hello)
            first.greet(Welcome())
            await until(lambda: ("up", 2) in a.inbox.heard)
            fourth = await cluster.stranger(0)
            fourth.say(b"?")
            assert await fourth.closed_by_other_side() == b""
            assert (
                "closed a connection from 127.0.0.1: The connection does not begin" in caplog.text
            )
            peer.batch(ops([1]))
            await until(lambda: a.inbox.received)

    play(scenario)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "cluster": ({"cluster": "other"}, "cluster is 'test' for n0 and 'other' for 'n1'"),
    "hash": ({"token_hash": "md5"}, "token_hash is 'murmur3' for n0 and 'md5' for 'n1'"),
    "seed": ({"token_seed": 7}, "token_seed is 0 for n0 and 7 for 'n1'"),
    "partitions": ({"partitions": 128}, "partitions is 256 for n0 and 128 for 'n1'"),
    "members": ({"fingerprint": "?"}, "have other nodes, though both are of epoch 1"),
    "number": ({"number": 2}, "Node 'n1' has the number 1 in the cluster file of n0, and 2"),
    "unknown name": ({"node": "n9\n"}, "no other node 'n9\\n', only n1, n2"),
    "own name": ({"node": "n0"}, "Two nodes use the name 'n0'"),
    "own id": ({"node_id": "0" * 32}, "have the same first 11 digits"),
    "a third node's id": ({"node_id": f"{2:011x}" + "1" * 21}, "have the same first 11 digits"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_who_does_not_belong_here_is_told_so_and_logged_once(
    play: Play, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    changes, reason = REFUSALS[case]

    async def scenario() -> None:
        caplog.clear()
        async with Cluster(3) as cluster:
            a = await cluster.start(0)
            await joined(cluster, a, 2)
            for _ in range(3):
                stranger = await cluster.stranger(0)
                verdict = await stranger.handshake(hello_of(a, 1, **changes))
                assert isinstance(verdict, Reject)
                assert reason in verdict.reason
                assert await stranger.closed_by_other_side() == b""
            assert a.inbox.heard == [("up", 2)]
            assert sum(reason in record.message for record in caplog.records) == 1
            assert a.network.peers.traffic.links_refused == 3

    play(scenario)


def test_a_second_node_under_a_connected_name_is_refused(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            peer = await joined(cluster, a, 1)
            twin = await cluster.stranger(0)
            verdict = await twin.handshake(hello_of(a, 1, node_id="f" * 32))
            assert isinstance(verdict, Reject)
            assert "'n1' is connected with the node id 00000000001" in verdict.reason
            assert "a second process with the node id ffff" in verdict.reason
            peer.batch(ops([1]))
            await until(lambda: a.inbox.received)
            assert a.inbox.heard == [("up", 1), ("message", 1)]

    play(scenario)


def test_an_open_link_is_not_displaced(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            peer = await joined(cluster, a, 1)
            second = await cluster.stranger(0)
            assert await second.handshake(hello_of(a, 1)) == Crossed()
            peer.batch(ops([1]))
            await until(lambda: a.inbox.received)
            await peer.leave()
            await until(lambda: ("lost", 1) in a.inbox.heard)
            third = await cluster.stranger(0)
            assert await third.handshake(hello_of(a, 1)) == Welcome()
            await until(lambda: a.inbox.count("up", 1) == 2)

    play(scenario)


def test_two_hellos_are_one_too_many(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            stranger = await cluster.stranger(0)
            await stranger.meet()
            stranger.greet(hello_of(a, 1), hello_of(a, 1))
            await stranger.closed_by_other_side()
            assert a.network.peers.traffic.protocol_errors == 1
            assert a.inbox.heard == []

    play(scenario)


def test_a_log_line_stays_one_line(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            forged = "n1\nall is well"
            first = await cluster.stranger(0)
            assert isinstance(await first.handshake(hello_of(a, 1, node=forged)), Reject)
            second = await cluster.stranger(0)
            await second.meet()
            second.greet(Reject(forged))
            await second.closed_by_other_side()
            await until(lambda: len(caplog.messages) == 2)
            assert not any("\n" in message for message in caplog.messages)

    play(scenario)


def test_a_peer_that_does_not_read_costs_bounded_memory(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        bound = 1 << 20
        async with Cluster(2, LinksLimits(link=LinkLimits(unsent_bytes_max=bound))) as cluster:
            a = await cluster.start(0)
            await joined(cluster, a, 1)
            unsent = 0

            def send_more() -> bool:
                nonlocal unsent
                link = a.network.peers._peers[1].link
                if link is not None:
                    unsent = max(unsent, link._wire.get_write_buffer_size())
                    a.send(1, [Write(1, b"key", bytes(100_000))])
                return ("lost", 1) in a.inbox.heard

            await until(send_more)
            assert "lost the link to n1: it does not read" in caplog.text
            assert unsent <= bound + 200_000

    play(scenario)


def test_a_peer_that_falls_silent_is_given_up(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        caplog.clear()
        limits = LinksLimits(link=LinkLimits(tick_s=0.02, silent_ticks_max=5))
        async with Cluster(2, limits) as cluster:
            a = await cluster.start(0)
            peer = await joined(cluster, a, 1)
            assert decode_batch(await peer.hear()) == []
            await until(lambda: ("lost", 1) in a.inbox.heard)
            assert "lost the link to n1: nothing heard for 0.1 s" in caplog.text

    play(scenario)


def piece(length: int, start: int, data: bytes) -> bytes:
    return encode_frame(1, PIECE_MARK + length.to_bytes(8) + start.to_bytes(8) + data)


BREACHES: dict[str, Callable[[Stranger], None]] = {
    "a piece without those before it": lambda peer: peer.say(piece(9, 3, b"abc")),
    "a piece beyond the whole": lambda peer: peer.say(piece(3, 0, b"abcd")),
    "a piece of too long a whole": lambda peer: peer.say(piece(WHOLE_BYTES_MAX + 1, 0, b"a")),
    "a whole that is no batch": lambda peer: peer.say(piece(3, 0, b"abc")),
    "a late handshake frame": lambda peer: peer.greet(Welcome()),
    "no batch": lambda peer: peer.say(encode_frame(1, b"\x91\x92\x63\x01")),
    "too long": lambda peer: peer.say(encode_frame(1, bytes(FRAME_BYTES_MAX + 1))[:HEADER_BYTES]),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_peer_that_breaks_the_protocol_loses_its_link(play: Play, breach: str) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            peer = await joined(cluster, a, 1)
            BREACHES[breach](peer)
            await until(lambda: ("lost", 1) in a.inbox.heard)
            assert await peer.closed_by_other_side() == b""
            assert a.inbox.heard == [("up", 1), ("lost", 1)]
            assert a.network.peers.traffic.protocol_errors == 1

    play(scenario)


def test_messages_that_come_with_the_last_handshake_frame_are_delivered(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2, QUICK) as cluster:
            a = await cluster.start(0)
            stranger = await cluster.stranger(0)
            await stranger.meet()
            stranger.greet(hello_of(a, 1))
            assert isinstance(await stranger.hear_greeting(), Hello)
            stranger.greet(Welcome())
            messages: list[Message] = [Wrote(1), Wrote(2)]
            stranger.batch(messages)
            await until(lambda: len(a.inbox.received) == 2)
            assert a.inbox.heard == [("up", 1), ("message", 1), ("message", 1)]

    play(scenario)
