"""Two nodes dial each other at once, step by step: one link stays, and no message is lost."""

from __future__ import annotations

import asyncio

from kit.network import QUICK, Cluster, Play, Stranger, hello_of, ops, until

from kvorum.links.limits import LinksLimits
from kvorum.links.reconnect import DialLimits
from kvorum.wire.batches import decode_batch
from kvorum.wire.handshake import Crossed, Hello, Welcome


async def let_in(stranger: Stranger, hello: Hello) -> None:
    """Answer a caller's Hello as a listener that welcomes it."""
    await stranger.meet()
    assert isinstance(await stranger.hear_greeting(), Hello)
    stranger.greet(hello)
    assert await stranger.hear_greeting() == Welcome()


def test_the_smaller_index_keeps_the_link_it_has_dialed(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            impostor = await cluster.impostor(1)
            a = await cluster.start(0)
            a.send(1, ops([1, 2]))
            dialed = await cluster.called(impostor)
            accepted = await cluster.stranger(0)
            assert await accepted.handshake(hello_of(a, 1)) == Crossed()
            assert await accepted.closed_by_other_side() == b""
            await let_in(dialed, hello_of(a, 1))
            assert decode_batch(await dialed.hear()) == ops([1, 2])
            assert a.inbox.heard == [("up", 1)]

    play(scenario)


def test_the_greater_index_gives_its_own_up(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            impostor = await cluster.impostor(0)
            b = await cluster.start(1)
            b.send(0, ops([1, 2]))
            dialed = await cluster.called(impostor)
            await dialed.meet()
            assert isinstance(await dialed.hear_greeting(), Hello)
            accepted = await cluster.stranger(1)
            assert await accepted.handshake(hello_of(b, 0)) == Welcome()
            assert await dialed.closed_by_other_side() == b""
            assert decode_batch(await accepted.hear()) == ops([1, 2])
            assert b.inbox.heard == [("up", 0)]
            assert impostor.accepted == 1

    play(scenario)


def test_who_is_told_that_calls_crossed_keeps_its_messages_and_tries_again(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2) as cluster:
            impostor = await cluster.impostor(0)
            b = await cluster.start(1)
            b.send(0, ops([1, 2]))
            for _ in range(2):
                dialed = await cluster.called(impostor)
                await dialed.meet()
                assert isinstance(await dialed.hear_greeting(), Hello)
                dialed.greet(Crossed())
                assert await dialed.closed_by_other_side() == b""
            await let_in(dialed := await cluster.called(impostor), hello_of(b, 0))
            assert decode_batch(await dialed.hear()) == ops([1, 2])
            assert b.inbox.heard == [("up", 0)]
            assert b.network.peers.is_up(0)

    play(scenario)


def test_a_dial_that_connects_when_a_link_is_there_already_is_dropped(play: Play) -> None:
    async def scenario() -> None:
        async with Cluster(2, QUICK) as cluster:
            impostor = await cluster.impostor(1)
            a = await cluster.start(0)
            peer = await cluster.stranger(0)
            assert await peer.handshake(hello_of(a, 1)) == Welcome()
            await until(lambda: a.inbox.heard)
            a.network.peers._peers[1].reconnect.now()
            dialed = await cluster.called(impostor)
            assert await dialed.closed_by_other_side() == b""
            peer.batch(ops([1]))
            await until(lambda: a.inbox.received)
            a.send(1, ops([2]))
            assert decode_batch(await peer.hear()) == ops([2])
            assert a.inbox.heard == [("up", 1), ("message", 1)]

    play(scenario)


def test_who_is_called_while_it_pauses_does_not_call_back(play: Play) -> None:
    async def scenario() -> None:
        limits = LinksLimits(dial=DialLimits(pause_min_s=0.2, pause_max_s=0.2))
        async with Cluster(2, limits) as cluster:
            a = await cluster.start(0)
            a.send(1, ops([1]))
            await until(lambda: not a.network.peers.is_up(1))
            impostor = await cluster.impostor(1)
            peer = await cluster.stranger(0)
            assert await peer.handshake(hello_of(a, 1)) == Welcome()
            await until(lambda: a.inbox.heard[-1] == ("up", 1))
            over = asyncio.Event()
            a.network.runtime.call_later(0.25, over.set)
            await over.wait()
            assert impostor.accepted == 0

    play(scenario)
