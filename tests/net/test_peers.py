"""Nodes that talk over real sockets: messages, order, links made, lost and made again."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from kit.network import QUICK, Cluster, Inbox, Life, Node, Play, ops, until

from kvorum.links.limits import LinksLimits
from kvorum.links.link import Link
from kvorum.links.machine import LinkLimits
from kvorum.links.reconnect import DialLimits
from kvorum.links.waiting import WaitingLimits
from kvorum.model.errors import ConfigError
from kvorum.runtime.loop import run
from kvorum.wire.messages import Message, SyncState, Write, Wrote


def test_messages_and_replies_keep_their_order(play: Play) -> None:
    class Echo(Inbox):
        reply: Callable[[int, Message], None]

        def on_message(self, node: int, message: Message) -> None:
            super().on_message(node, message)
            self.reply(node, message)

    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            b = cluster.build(1)
            echo = Echo()
            echo.reply = b.network.peers.send
            await b.network.start(echo)
            cluster.running.append(b)
            sent: list[Message] = []
            for burst in range(50):
                messages = ops(range(burst * 100, burst * 100 + burst))
                a.send(1, messages)
                sent += messages
                await asyncio.sleep(0)
            await until(lambda: len(a.inbox.received) == len(sent))
            assert echo.received == [(0, message) for message in sent]
            assert a.inbox.received == [(1, message) for message in sent]

    play(scenario)


def test_a_link_is_made_when_a_message_wants_it_and_serves_both_ways(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            assert a.network.peers.is_up(1)
            assert b.network.peers.is_up(0)
            assert a.inbox.heard == b.inbox.heard == []
            b.send(0, ops([1]))
            await until(lambda: a.inbox.received)
            a.send(1, ops([2]))
            await until(lambda: b.inbox.received)
            assert a.inbox.heard == [("up", 1), ("message", 1)]
            assert b.inbox.heard == [("up", 0), ("message", 0)]
            assert a.network.peers.traffic.links_opened == b.network.peers.traffic.links_opened == 1

    play(scenario)


def test_three_nodes_know_each_other_apart(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(3) as cluster:
            nodes = await cluster.start_all()
            for node in nodes:
                for other in nodes:
                    if other is not node:
                        node.send(other.index, ops([10 * node.index + other.index]))
            await until(lambda: all(len(node.inbox.received) == 2 for node in nodes))
            for node in nodes:
                for other in nodes:
                    if other is not node:
                        wanted = ops([10 * other.index + node.index])
                        assert node.inbox.messages_from(other.index) == wanted

    play(scenario)


def test_nodes_that_dial_at_once_end_with_one_link(play: Play) -> None:
    async def scenario() -> None:
        for _ in range(15):
            async with Cluster(2) as cluster:
                a, b = await cluster.start_all()
                a.send(1, ops(range(5)))
                b.send(0, ops(range(7)))
                await until(lambda: len(a.inbox.received) == 7 and len(b.inbox.received) == 5)  # noqa: B023
                assert a.inbox.heard == [("up", 1)] + [("message", 1)] * 7
                assert b.inbox.heard == [("up", 0)] + [("message", 0)] * 5
                assert (
                    a.network.peers.traffic.links_opened
                    == b.network.peers.traffic.links_opened
                    == 1
                )

    play(scenario)


def test_what_is_sent_in_one_turn_of_the_loop_travels_as_one_frame(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            a.send(1, ops(range(40)))
            await until(lambda: len(b.inbox.received) == 40)
            a.send(1, ops(range(60)))
            await until(lambda: len(b.inbox.received) == 100)
            assert a.network.peers.traffic.frames_out == b.network.peers.traffic.frames_in == 2
            assert (
                a.network.peers.traffic.messages_out == b.network.peers.traffic.messages_in == 100
            )
            assert a.network.peers.traffic.bytes_out == b.network.peers.traffic.bytes_in

    play(scenario)


def test_names_and_ids_are_told_before_the_peer_is_up(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0, Life("a" * 32))
            b = await cluster.start(1, Life("b" * 32))
            a.send(1, ops([1]))
            await until(lambda: b.inbox.received)
            assert a.identities == [(1, "b" * 32, "n1")]
            assert b.identities == [(0, "a" * 32, "n0")]

    play(scenario)


def test_a_peer_that_restarts_is_reached_again_without_being_asked(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            a.send(1, ops([1]))
            await until(lambda: b.inbox.received)
            await cluster.stop(b)
            await until(lambda: not a.network.peers.is_up(1))
            assert a.inbox.heard == [("up", 1), ("lost", 1)]
            b = await cluster.start(1)
            await until(lambda: a.inbox.count("up", 1) == 2)
            assert a.network.peers.is_up(1)
            a.send(1, ops([2]))
            await until(lambda: b.inbox.received)
            assert b.inbox.heard == [("up", 0), ("message", 0)]
            assert a.inbox.heard == [("up", 1), ("lost", 1), ("up", 1)]
            assert a.identities == [(1, "0" * 10 + "1" + "0" * 21, "n1")]

    play(scenario)


def test_a_peer_that_is_not_there_is_lost_once_and_again_when_messages_are(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            attempts = counted_attempts(a, 1)
            a.send(1, ops([1, 2]))
            assert a.inbox.heard == []
            await until(lambda: a.inbox.heard)
            assert a.inbox.heard == [("lost", 1)]
            assert not a.network.peers.is_up(1)
            tried = len(attempts)
            await until(lambda: len(attempts) >= tried + 3)
            assert a.inbox.heard == [("lost", 1)]
            a.send(1, ops([3]))
            await until(lambda: len(a.inbox.heard) == 2)
            assert a.inbox.heard == [("lost", 1)] * 2
            assert a.network.peers.traffic.messages_dropped == 3
            assert caplog.text.count("cannot reach n1, still trying") == 1

    play(scenario)


def test_each_time_a_peer_goes_down_is_told_and_logged(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            for round_ in range(1, 3):
                b = await cluster.start(1)
                a.send(1, ops([1]))
                await until(lambda: a.inbox.count("up", 1) == round_)  # noqa: B023
                await cluster.stop(b)
                await until(lambda: not a.network.peers.is_up(1))
                told = a.inbox.count("lost", 1)
                a.send(1, ops([2]))
                await until(lambda: a.inbox.count("lost", 1) == told + 1)  # noqa: B023
            assert caplog.text.count("lost the link to n1: ") == 2
            assert caplog.text.count("cannot reach n1, still trying") == 2

    play(scenario)


def counted_attempts(node: Node, other: int) -> list[None]:
    """Grows by one with each attempt of `node` to reach `other`."""
    attempts: list[None] = []
    connect = node.network.connect

    def counted(node: int, link: Link) -> None:
        if node == other:
            attempts.append(None)
        connect(node, link)

    node.network.connect = counted  # type: ignore[method-assign]
    return attempts


def test_a_link_that_has_lasted_makes_the_pauses_short_again(play: Play) -> None:
    async def scenario() -> None:
        limits = LinksLimits(dial=DialLimits(pause_min_s=0.001, pause_max_s=0.064))
        async with Cluster(2, limits) as cluster:
            a = await cluster.start(0)
            reconnect = a.network.peers._peers[1].reconnect
            a.send(1, ops([1]))
            await until(lambda: reconnect.pause_s == limits.dial.pause_max_s)
            b = await cluster.start(1)
            await until(lambda: ("up", 1) in a.inbox.heard)
            now = a.network.runtime.now
            a.network.runtime.now = lambda: now() + 1.0
            await cluster.stop(b)
            await until(lambda: a.inbox.heard[-1] == ("lost", 1))
            assert reconnect.pause_s < limits.dial.pause_max_s

    play(scenario)


@pytest.mark.parametrize(
    "limits",
    [
        LinksLimits(waiting=WaitingLimits(messages_max=10)),
        LinksLimits(waiting=WaitingLimits(bytes_max=200)),
    ],
)
def test_what_waits_for_a_link_is_bounded(play: Play, limits: LinksLimits) -> None:
    async def scenario() -> None:
        async with Cluster(2, limits) as cluster:
            a, b = await cluster.start_all()
            messages: list[Message] = [Write(op, b"key", b"record67") for op in range(25)]
            a.send(1, messages)
            await until(lambda: len(b.inbox.received) == 10)
            assert b.inbox.messages_from(0) == messages[:10]
            assert a.network.peers.traffic.messages_dropped == 15

    play(scenario)


def test_close_writes_what_was_sent_and_tells_its_receiver_nothing(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            a.send(1, ops([1]))
            await until(lambda: b.inbox.received)
            a.send(1, ops([2]))
            await cluster.stop(a)
            await until(lambda: ("lost", 0) in b.inbox.heard)
            assert b.inbox.heard == [("up", 0), ("message", 0), ("message", 0), ("lost", 0)]
            assert a.inbox.heard == [("up", 1)]
            a.send(1, ops([3]))
            assert len(b.inbox.received) == 2

    play(scenario)


def test_close_while_a_dial_is_under_way(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            a.send(1, ops([1]))
            await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await cluster.stop(a)
            assert a.inbox.heard == []
            assert ("message", 0) not in b.inbox.heard

    play(scenario)


def test_close_while_a_connection_comes_in() -> None:
    # Not on asyncio's own loop: a server of it that closes at that moment forgets the socket.
    async def scenario() -> None:
        patient = LinksLimits(link=LinkLimits(handshake_s=60))
        for turns in range(6):
            async with Cluster(2, patient) as cluster:
                a, b = await cluster.start_all()
                a.send(1, ops([1]))
                await until(lambda: b.inbox.received)  # noqa: B023
                with socket.create_connection(cluster.addresses[0]):
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    async with asyncio.timeout(5):
                        await cluster.stop(a)

    run(scenario())


def test_an_idle_link_stays_open(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2, LinksLimits(link=LinkLimits(tick_s=0.02))) as cluster:
            a, b = await cluster.start_all()
            a.send(1, ops([1]))
            await until(
                lambda: (
                    a.network.peers.traffic.frames_in > 10
                    and b.network.peers.traffic.frames_in > 10
                )
            )
            assert a.inbox.heard == [("up", 1)]
            assert b.inbox.heard == [("up", 0), ("message", 0)]

    play(scenario)


def test_a_handlers_bug_is_reported_and_costs_its_link_only(
    play: Play, unhandled: list[dict[str, Any]]
) -> None:
    class Buggy(Inbox):
        def on_message(self, node: int, message: Message) -> None:
            super().on_message(node, message)
            if message == SyncState(True):
                raise OSError("a bug")

    async def scenario() -> None:
        async with Cluster(3) as cluster:
            a, _, c = await cluster.start_all()
            await cluster.stop(cluster.running[1])
            b = cluster.build(1)
            buggy = Buggy()
            await b.network.start(buggy)
            cluster.running.append(b)
            a.send(1, ops([1]))
            c.send(1, ops([2]))
            await until(lambda: len(buggy.received) == 2)
            a.send(1, [SyncState(True), Wrote(3)])
            await until(lambda: ("lost", 1) in a.inbox.heard)
            [context] = unhandled
            assert isinstance(context["exception"], OSError)
            assert context["exception"].__traceback__ is not None
            unhandled.clear()
            await until(lambda: buggy.count("up", 0) == 2)
            c.send(1, ops([4]))
            await until(lambda: len(buggy.messages_from(2)) == 2)
            assert buggy.messages_from(0) == [Wrote(1), SyncState(True)]
            assert buggy.count("lost", 0) == 1
            assert buggy.count("lost", 2) == 0

    play(scenario)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit at the end": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "a flipped bit in the length": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a missing byte": lambda data: data[1:],
    "a byte too many": lambda data: b"\0" + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_frame_closes_its_link_and_nothing_else(
    play: Play, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(3) as cluster:
            a, b, c = await cluster.start_all()
            line = await cluster.line(1)
            a.reach(1, line.address)
            a.send(1, ops([1]))
            c.send(1, ops([1]))
            await until(lambda: len(b.inbox.received) == 2)
            line.damage = DAMAGES[damage]
            a.send(1, ops([2, 3]))
            await until(lambda: ("lost", 1) in a.inbox.heard)
            line.damage = bytes
            await until(lambda: a.inbox.count("up", 1) == 2)
            assert "fails its check" in caplog.text
            a.send(1, ops([4]))
            c.send(1, ops([5]))
            await until(lambda: len(b.inbox.received) == 4)
            assert b.inbox.messages_from(0) == ops([1, 4])
            assert b.inbox.messages_from(2) == ops([1, 5])
            assert b.inbox.count("lost", 0) == a.inbox.count("lost", 1) == 1
            assert b.network.peers.traffic.protocol_errors == 1
            assert ("lost", 2) not in b.inbox.heard
            assert ("lost", 1) not in c.inbox.heard

    play(scenario)


def test_a_frame_that_is_cut_off_is_not_delivered(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a, b = await cluster.start_all()
            line = await cluster.line(1)
            a.reach(1, line.address)
            a.send(1, ops([1]))
            await until(lambda: b.inbox.received)
            halved = asyncio.Event()

            def halve(data: bytes) -> bytes:
                halved.set()
                return data[: len(data) // 2]

            line.damage = halve
            a.send(1, ops([2]))
            await halved.wait()
            line.damage = bytes
            line.cut()
            await until(lambda: a.inbox.count("up", 1) == 2 and b.inbox.count("up", 0) == 2)
            assert b.inbox.received == [(0, Wrote(1))]
            assert a.inbox.count("lost", 1) == b.inbox.count("lost", 0) == 1

    play(scenario)


def test_a_taken_port_is_said_in_one_line(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            await cluster.start(0)
            port = cluster.addresses[0].port
            twin = cluster.build(0)
            with pytest.raises(ConfigError) as caught:
                await twin.network.start(Inbox())
            assert caught.value.message == (
                f"This node cannot listen for other nodes on 127.0.0.1 port {port}: "
                "the port is taken. Stop the process that holds it, or choose another."
            )
            await twin.network.close()

    play(scenario)


def test_nodes_of_two_clusters_refuse_each_other_and_say_so_once(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        secret = bytes(16)
        async with (
            Cluster(2, name="ours", secret=secret) as ours,
            Cluster(2, name="theirs", secret=secret) as theirs,
        ):
            a = await ours.start(0)
            b = await theirs.start(1)
            a.reach(1, theirs.addresses[1])
            a.send(1, ops([1]))
            await until(lambda: b.network.peers.traffic.links_refused >= 3)
            assert a.inbox.heard == [("lost", 1)]
            assert b.inbox.heard == []
            refusals = [r.message for r in caplog.records if "cluster is" in r.message]
            assert len(refusals) == 2
            said = "cluster is 'theirs' for n1 and 'ours' for 'n0'"
            assert all(said in message for message in refusals)

    play(scenario)


def test_a_node_found_at_anothers_address_is_refused(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        caplog.clear()
        async with Cluster(3) as cluster:
            a, _, c = await cluster.start_all()
            a.reach(1, cluster.addresses[2])
            a.send(1, ops([1]))
            await until(lambda: ("lost", 1) in a.inbox.heard)
            assert "At the address of node 'n1' answers node 'n2'" in caplog.text
            assert c.inbox.heard == []

    play(scenario)


def test_an_unlinked_peer_may_come_back_with_another_id(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            a = await cluster.start(0)
            b = await cluster.start(1, Life("1" * 32))
            a.send(1, ops([1]))
            await until(lambda: b.inbox.received)
            await cluster.stop(b)
            await cluster.start(1, Life("2" * 32))
            await until(lambda: a.inbox.count("up", 1) == 2)
            assert a.identities == [(1, "1" * 32, "n1"), (1, "2" * 32, "n1")]

    play(scenario)


def test_logs_are_quiet_when_nothing_is_wrong(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def scenario() -> None:
        async with Cluster(3, QUICK) as cluster:
            nodes = await cluster.start_all()
            for node in nodes:
                for other in range(3):
                    if other != node.index:
                        node.send(other, ops([1]))
            await until(lambda: all(len(node.inbox.received) == 2 for node in nodes))
            assert caplog.records == []

    play(scenario)
