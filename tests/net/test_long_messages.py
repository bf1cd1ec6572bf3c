"""Messages that are too long for one frame, over real sockets: none is lost, and no other waits."""

from __future__ import annotations

import logging

import pytest
from kit.network import QUICK, Cluster, Inbox, Node, Play, hello_of, ops, until

from kvorum.links.limits import LinksLimits
from kvorum.links.machine import LinkLimits
from kvorum.model.record import JSON, Event, Record, Version
from kvorum.model.request import Answer
from kvorum.wire.batches import decode_batch, encode_batch
from kvorum.wire.frames import FRAME_BYTES_MAX
from kvorum.wire.handshake import Welcome
from kvorum.wire.messages import Forwarded, Handoff, Have, KeyDiff, Message, Page, Write, Wrote
from kvorum.wire.pieces import PIECE_BYTES, Assembly

LONG = bytes(range(256)) * (9 << 12)
"""9 MiB: more than one coordinator lets a record grow to."""


async def linked(cluster: Cluster) -> tuple[Node, Node]:
    a, b = await cluster.start_all()
    a.send(1, ops([0]))
    await until(lambda: b.inbox.received)
    b.inbox.received.clear()
    return a, b


def ops_in(inbox: Inbox) -> list[int]:
    return [message.op for _, message in inbox.received if isinstance(message, Wrote)]


def longest(op: int) -> list[Message]:
    """One of each kind that carries a record, or a page."""
    value = Version(Event(1, 1, 1), JSON, LONG)
    return [
        Write(op, b"key", LONG, None),
        Handoff(op, b"key", LONG, 1),
        Have(op, LONG),
        Page(op, [(b"key", LONG), (b"next", b"")], b"next"),
        KeyDiff(op, b"end", [bytes(1024)] * 4096, []),
        Forwarded(op, Answer(Record((), (value,)), False)),
    ]


def test_they_pass_both_ways_at_once(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(2) as cluster:
            a, b = await linked(cluster)
            a.send(1, longest(1))
            b.send(0, longest(2))
            await until(lambda: len(a.inbox.received) == len(b.inbox.received) == 6)
            assert b.inbox.messages_from(0) == longest(1)
            assert a.inbox.messages_from(1) == longest(2)
            assert a.network.peers.traffic.messages_dropped == 0
            assert a.inbox.count("lost", 1) == b.inbox.count("lost", 0) == 0
            assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []

    play(scenario)


def test_short_ones_overtake_them(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await linked(cluster)
            a.send(1, [Write(1, b"key", LONG), Wrote(1), Write(2, b"key", LONG)])
            for op in range(2, 20):
                a.send(1, ops([op]))
                await until(lambda: op in ops_in(b.inbox))  # noqa: B023
                if op == 2:
                    # Sent and received while the long ones have hardly begun.
                    assert [type(message) for _, message in b.inbox.received] == [Wrote, Wrote]
            await until(lambda: len(b.inbox.received) == 21)
            assert ops_in(b.inbox) == list(range(1, 20))
            long = [message for _, message in b.inbox.received if isinstance(message, Write)]
            assert long == [Write(1, b"key", LONG), Write(2, b"key", LONG)]

    play(scenario)


def test_a_link_is_made_for_one(play: Play) -> None:
    """It may wait for the link however long it is: nothing else brings it there sooner."""

    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            a.send(1, [Write(1, b"key", LONG)])
            await until(lambda: b.inbox.received)
            assert b.inbox.messages_from(0) == [Write(1, b"key", LONG)]

    play(scenario)


def test_many_that_fit_a_frame_each_go_in_as_few_as_they_fit(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await linked(cluster)
            frames = a.network.peers.traffic.frames_out
            third = bytes(FRAME_BYTES_MAX // 3)
            sent: list[Message] = [Write(op, b"key", third) for op in range(5)]
            a.send(1, sent)
            await until(lambda: len(b.inbox.received) == 5)
            assert b.inbox.messages_from(0) == sent
            assert a.network.peers.traffic.frames_out == frames + 3

    play(scenario)


def test_a_peer_that_does_not_read_them_costs_bounded_memory(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        patient = LinkLimits(backlog_bytes_max=1 << 20, silent_ticks_max=1000)
        limits = LinksLimits(link=patient)
        async with Cluster(2, limits) as cluster:
            a = await cluster.start(0)
            peer = await cluster.stranger(0)
            assert await peer.handshake(hello_of(a, 1)) == Welcome()
            await until(lambda: ("up", 1) in a.inbox.heard)
            longer = 3 * LONG  # than what the sockets hold
            a.send(1, [Write(op, b"key", longer) for op in range(3)])
            link = a.network.peers._peers[1].link
            assert link is not None
            await until(lambda: link._paused)
            assert link._wire.get_write_buffer_size() <= 2 * PIECE_BYTES
            assert a.network.peers.traffic.messages_dropped == 2
            assert "dropped a message of" in caplog.text
            assembly, whole = Assembly(), None
            while whole is None:
                payload = await peer.hear()
                if not is_a_sign_of_life(payload):
                    whole = assembly.add(payload)
            assert decode_batch(whole) == [Write(0, b"key", longer)]
            assert a.inbox.heard == [("up", 1)]

    play(scenario)


def is_a_sign_of_life(payload: bytes) -> bool:
    return payload == encode_batch([])


def test_a_link_that_breaks_takes_what_is_under_way_with_it(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2, QUICK) as cluster:
            a, b = await cluster.start_all()
            line = await cluster.line(1)
            a.reach(1, line.address)
            a.send(1, ops([1]))
            await until(lambda: b.inbox.received)
            passed = 0

            def count(data: bytes) -> bytes:
                nonlocal passed
                passed += len(data)
                return data

            line.damage = count
            a.send(1, [Write(2, b"key", LONG), Write(3, b"key", LONG)])
            await until(lambda: passed > PIECE_BYTES)
            line.cut()
            await until(lambda: a.inbox.count("up", 1) == 2 and b.inbox.count("up", 0) == 2)
            assert b.inbox.received == [(0, Wrote(1))]
            assert a.network.peers.traffic.messages_dropped == 2
            a.send(1, [Write(4, b"key", LONG)])
            await until(lambda: len(b.inbox.received) == 2)
            assert b.inbox.received[1] == (0, Write(4, b"key", LONG))

    play(scenario)
