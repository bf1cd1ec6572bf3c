"""What the tests of the network stand on: nodes on loopback, strangers, and a line to damage."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from kvorum.links.limits import LinksLimits
from kvorum.links.reconnect import DialLimits
from kvorum.model.address import Address
from kvorum.model.topology import NodeSpec, Topology
from kvorum.net.network import PeerNetwork
from kvorum.runtime.loop import LoopRuntime
from kvorum.tls.node_tls import NodeTls
from kvorum.wire.batches import encode_batch
from kvorum.wire.frames import HANDSHAKE_EPOCH, PREFACE, FrameDecoder, encode_frame
from kvorum.wire.handshake import (
    DIALER_FRAMES,
    LISTENER_FRAMES,
    NONCE_BYTES,
    SPOKEN,
    Greeting,
    Hello,
    Versions,
    Welcome,
)
from kvorum.wire.handshake_cipher import HandshakeCipher
from kvorum.wire.messages import Message, Wrote

Scenario = Callable[[], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]
"""Runs a scenario: the fixture `play`."""

DEADLINE_S = 20.0
EPHEMERAL_PORTS_FROM = 32768
QUICK = LinksLimits(dial=DialLimits(pause_min_s=0.01, pause_max_s=0.05))

_chance = random.Random()


def free_addresses(count: int) -> list[Address]:
    """Ports nobody listens on, and none that the system could give to an outgoing connection."""
    sockets: list[socket.socket] = []
    while len(sockets) < count:
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", _chance.randrange(10_000, EPHEMERAL_PORTS_FROM)))
        except OSError:
            sock.close()
        else:
            sockets.append(sock)
    addresses = [Address(*sock.getsockname()) for sock in sockets]
    for sock in sockets:
        sock.close()
    return addresses


async def until(condition: Callable[[], object]) -> None:
    """Wait for `condition` to hold."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.001)


def ops(numbers: Sequence[int]) -> list[Message]:
    return [Wrote(number) for number in numbers]


class Inbox:
    """A receiver that writes down what it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.received: list[tuple[int, Message]] = []

    def on_message(self, node: int, message: Message) -> None:
        self.heard.append(("message", node))
        self.received.append((node, message))

    def on_peer_up(self, node: int) -> None:
        self.heard.append(("up", node))

    def on_peer_lost(self, node: int) -> None:
        self.heard.append(("lost", node))

    def count(self, what: str, node: int) -> int:
        return self.heard.count((what, node))

    def messages_from(self, node: int) -> list[Message]:
        return [message for sender, message in self.received if sender == node]


@dataclass(frozen=True)
class Life:
    """One life of a node, as its stored identity has it."""

    node_id: str
    incarnation: int = 1


@dataclass
class Node:
    index: int
    network: PeerNetwork
    inbox: Inbox = field(default_factory=Inbox)
    identities: list[tuple[int, str, str]] = field(default_factory=list)

    def send(self, node: int, messages: list[Message]) -> None:
        for message in messages:
            self.network.peers.send(node, message)

    def reach(self, node: int, address: Address) -> None:
        """Dial `node` at `address`, where somebody passes on what is sent."""
        self.network._dialers[node].address = address


class Cluster:
    """Nodes of one topology in this process, each on a port of its own."""

    def __init__(
        self, size: int, limits: LinksLimits = QUICK, name: str = "test", secret: bytes = b""
    ) -> None:
        self.limits = limits
        self.addresses = free_addresses(size)
        specs = tuple(
            NodeSpec(name=f"n{i}", http=f"127.0.0.1:{i + 1}", peer=f"{host}:{port}")
            for i, (host, port) in enumerate(self.addresses)
        )
        self.topology = Topology(cluster=name, nodes=specs, secret=secret)
        self.tls: dict[int, NodeTls] = {}
        """By index, of the nodes that speak TLS."""
        self.running: list[Node] = []
        self._lines: list[Line] = []
        self._impostors: list[Impostor] = []
        self._strangers: list[Stranger] = []

    def build(
        self, index: int, life: Life | None = None, limits: LinksLimits | None = None
    ) -> Node:
        identities: list[tuple[int, str, str]] = []
        network = PeerNetwork(
            self.topology,
            index,
            life or Life(f"{index:011x}" + "0" * 21),
            LoopRuntime(asyncio.get_running_loop()),
            lambda *seen: identities.append(seen),
            limits or self.limits,
            self.tls.get(index),
        )
        return Node(index, network, identities=identities)

    async def start(
        self, index: int, life: Life | None = None, limits: LinksLimits | None = None
    ) -> Node:
        node = self.build(index, life, limits)
        await node.network.start(node.inbox)
        self.running.append(node)
        return node

    async def start_all(self) -> list[Node]:
        return [await self.start(index) for index in range(len(self.addresses))]

    async def stop(self, node: Node) -> None:
        self.running.remove(node)
        await node.network.close()

    async def line(self, index: int) -> Line:
        """A line to the node `index`, for others to reach it by."""
        line = Line(self.addresses[index])
        await line.open()
        self._lines.append(line)
        return line

    async def stranger(self, index: int, tls: ssl.SSLContext | None = None) -> Stranger:
        """A connection to the node `index` that nothing has been said on."""
        stranger = await Stranger.connect(self.addresses[index], self.topology.secret, tls)
        self._strangers.append(stranger)
        return stranger

    async def impostor(self, index: int) -> Impostor:
        """Somebody who listens in the place of the node `index`."""
        impostor = Impostor(self.topology.secret)
        await impostor.open(self.addresses[index])
        self._impostors.append(impostor)
        return impostor

    async def called(self, impostor: Impostor) -> Stranger:
        """The next connection made to `impostor`."""
        stranger = await impostor.called()
        self._strangers.append(stranger)
        return stranger

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for line in self._lines:
            await line.close()
        for node in list(self.running):
            await self.stop(node)
        for impostor in self._impostors:
            await impostor.close()
        for stranger in self._strangers:
            await stranger.leave()


class Stranger:
    """A hand-driven end of a connection: it speaks the protocol only as far as it is told to.

    `cipher`: made with the secret that this end knows, or believes to know.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        secret: bytes,
        *,
        dialed: bool,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._dialed = dialed
        self._decoder = FrameDecoder(LISTENER_FRAMES if dialed else DIALER_FRAMES)
        self._payloads: list[bytes] = []
        self.heard = b""
        self.know(secret)

    @classmethod
    async def connect(
        cls, address: Address, secret: bytes, tls: ssl.SSLContext | None = None
    ) -> Stranger:
        return cls(*await asyncio.open_connection(*address, ssl=tls), secret, dialed=True)

    def know(self, secret: bytes, spoken: Versions = SPOKEN) -> None:
        self.cipher = HandshakeCipher(
            secret, _chance.randbytes(NONCE_BYTES), dialed=self._dialed, spoken=spoken
        )

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    def frame(self, payload: bytes) -> None:
        """One frame of the handshake."""
        self.say(encode_frame(HANDSHAKE_EPOCH, payload))

    def greet(self, *greetings: Greeting) -> None:
        for greeting in greetings:
            self.frame(self.cipher.seal(greeting))

    def challenge(self) -> None:
        self.say(PREFACE)
        self.frame(self.cipher.challenge)

    async def meet(self) -> None:
        """Exchange challenges with the other side."""
        if self._dialed:
            self.challenge()
        self.cipher.meet(await self.hear())
        if not self._dialed:
            self.challenge()

    def batch(self, messages: list[Message], epoch: int = 1) -> None:
        self.say(encode_frame(epoch, encode_batch(messages)))

    async def hear(self) -> bytes:
        """The next payload. Raises EOFError where the other side has closed instead."""
        async with asyncio.timeout(DEADLINE_S):
            while not self._payloads:
                data = await self._reader.read(1 << 16)
                if not data:
                    raise EOFError
                self.heard += data
                self._payloads = [payload for _epoch, payload in self._decoder.feed(data)]
        return self._payloads.pop(0)

    async def hear_greeting(self) -> Greeting:
        return self.cipher.open(await self.hear())

    async def handshake(self, hello: Hello) -> Greeting:
        """Dial in as `hello`; the other side's verdict."""
        await self.meet()
        self.greet(hello)
        answer = await self.hear_greeting()
        if isinstance(answer, Hello):
            answer = Welcome()
            self.greet(answer)
        return answer

    async def closed_by_other_side(self) -> bytes:
        """Wait for the end of the stream; whatever came before it."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self._reader.read()
            except (ConnectionResetError, ssl.SSLError):
                return b""

    async def leave(self) -> None:
        if self._writer.get_extra_info("ssl_object") is not None:
            self._writer.transport.abort()  # under TLS, asyncio may wait for ever for the end
            return
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # reset by the other side: gone is gone


class Impostor:
    """Listens in the place of a node, and leaves it to the test what to answer."""

    def __init__(self, secret: bytes) -> None:
        self.accepted = 0
        self._secret = secret
        self._strangers: asyncio.Queue[Stranger] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def open(self, address: Address) -> None:
        self._server = await asyncio.start_server(self._accept, *address)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._strangers.put_nowait(Stranger(reader, writer, self._secret, dialed=False))

    async def called(self) -> Stranger:
        """The next connection that somebody makes."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._strangers.get()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        while not self._strangers.empty():
            await self._strangers.get_nowait().leave()


def hello_of(listener: Node, other: int, /, **changes: Any) -> Hello:
    """What the node with index `other` would say to `listener`, but for `changes`."""
    fields = {"node": f"n{other}", "number": other, "node_id": f"{other:011x}" + "0" * 21} | changes
    return msgspec.structs.replace(listener.network.peers.hello, **fields)


class Line:
    """A TCP proxy in front of `target` that can damage what passes towards it."""

    def __init__(self, target: Address) -> None:
        [self.address] = free_addresses(1)
        self.damage: Callable[[bytes], bytes] = bytes
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, *self.address)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, inner_writer]
        for source, sink, towards in ((reader, inner_writer, True), (inner_reader, writer, False)):
            task = asyncio.create_task(self._pass(source, sink, towards))
            self._tasks.add(task)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, towards: bool
    ) -> None:
        try:
            while data := await source.read(1 << 16):
                sink.write(self.damage(data) if towards else data)
        except ConnectionResetError:
            pass  # one side has gone: so the other shall
        finally:
            sink.close()

    def cut(self) -> None:
        """Close every connection that passes here."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)
