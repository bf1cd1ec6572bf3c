"""TLS between a socket and a protocol: to the socket a protocol, to the protocol a transport.

    shaking hands ──> open ──> closing
        `── refused: whoever spoke no TLS is told so, and what it sends is dropped

The protocol is made when the handshake is complete and the other side's certificate is judged: no
byte of whoever is refused reaches it. Until then the connection is counted in `handshakes.py`, and
ends at a deadline that nothing prolongs. The stream is made when the first byte comes, so a
connection that says nothing costs next to nothing.

What is written is encrypted at once, and leaves with all that the turn of the loop wrote: the
event loop gathers it. So one answer is one record. Back-pressure is the socket's: what waits there
is counted in bytes as they are sent.

A side that has sent its close_notify may still read (RFC 8446, section 6.1). A connection that ends
without a close_notify is taken for one that ends with it: what is spoken over these connections
says itself where each message ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from kvorum.model.certified_name import CERTIFIED_NAME, CertifiedName
from kvorum.tls.faults import TlsFault
from kvorum.tls.port import TlsPort
from kvorum.tls.strangers import is_tls, no_tls
from kvorum.tls.stream import TlsStream

_UNASKED_MAX: Final = 64
"""How often OpenSSL may have to answer a side that reads nothing, as it does to each new key."""

_SHAKING, _REFUSED, _OPEN, _CLOSING = range(4)


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """One connection of `port`."""

    __slots__ = (
        "_blocked",
        "_certified",
        "_deadline",
        "_error",
        "_make",
        "_port",
        "_protocol",
        "_raw",
        "_stage",
        "_stream",
        "_told",
        "_unasked",
        "_wrote_eof",
    )

    _protocol: asyncio.Protocol
    _raw: asyncio.Transport
    _stream: TlsStream

    def __init__(self, port: TlsPort, make: Callable[[], asyncio.Protocol]) -> None:
        """`make`: makes the protocol, once the handshake is complete."""
        super().__init__()
        self._port = port
        self._make = make
        self._certified: CertifiedName | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._error: OSError | None = None
        self._stage = _SHAKING
        self._told = False
        self._blocked = False
        self._unasked = 0
        self._wrote_eof = False

    # The handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        handshakes = self._port.handshakes
        if not handshakes.begin(self):
            self.abort()
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(handshakes.seconds, self._too_late)
        if self._port.end.dials:
            self._stream = self._port.end.stream()
            self._shake(b"")

    def _shake(self, data: bytes) -> None:
        try:
            stream = self._stream_for(data)
            try:
                stream.shake(data)
            finally:
                if stream.has_more_to_say:
                    self._raw.write(stream.take())
            if not stream.open:
                return
            self._certified = self._port.end.certified(stream)
        except TlsFault as error:
            self._refuse(error)
        else:
            self._open(stream)

    def _stream_for(self, data: bytes) -> TlsStream:
        if not hasattr(self, "_stream"):
            if not is_tls(data):
                self._raw.write(self._port.answer_plain(data))
                raise no_tls()
            self._stream = self._port.end.stream()
        return self._stream

    def _refuse(self, error: OSError) -> None:
        """Say nothing more. What comes is dropped until the other side closes, or the deadline:
        if this side closed first, what it has said might be lost (RFC 9112, section 9.6)."""
        self._stage = _REFUSED
        self._tell(error)
        if self._port.end.dials:
            self._raw.close()
        else:
            self._raw.write_eof()

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._port.failed(self._raw, error)

    def _open(self, stream: TlsStream) -> None:
        self._leave_handshakes()
        self._stage = _OPEN
        self._told = True
        self._protocol = self._make()
        self._protocol.connection_made(self)
        if self._stage == _OPEN:
            self.data_received(b"")  # what came together with the end of the handshake

    def _too_late(self) -> None:
        if self._stage == _SHAKING:
            seconds = self._port.handshakes.seconds
            self._tell(
                TimeoutError(f"It has not completed its TLS handshake within {seconds:g} s.")
            )
        self.abort()

    def _leave_handshakes(self) -> None:
        self._port.handshakes.end(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # The socket's side

    def data_received(self, data: bytes) -> None:
        if self._stage == _OPEN:
            stream = self._stream
            try:
                plain = stream.decrypt(data)
            except TlsFault as error:
                self._break(error)
                return
            if stream.has_more_to_say:
                self._answer_unasked()
            if plain:
                self._protocol.data_received(plain)
            if stream.ended and self._stage == _OPEN:
                self._end_of_input()
        elif self._stage == _SHAKING:
            self._shake(data)

    def _answer_unasked(self) -> None:
        """OpenSSL has something to say that the protocol has not written."""
        answer = self._stream.take()
        if self._wrote_eof:
            return
        if self._blocked:
            self._unasked += 1
            if self._unasked > _UNASKED_MAX:
                self.abort()
                return
        self._raw.write(answer)

    def eof_received(self) -> bool:
        if self._stage == _OPEN:
            return self._stream.ended or self._end_of_input()
        return False

    def _end_of_input(self) -> bool:
        """True if the protocol has more to say."""
        self._stream.ended = True
        goes_on = bool(self._protocol.eof_received())
        if not goes_on:
            self.close()
        return goes_on

    def _break(self, error: TlsFault) -> None:
        """The other side has broken TLS: tell it, and end."""
        self._error = error
        self._stage = _CLOSING
        if self._stream.has_more_to_say and not self._wrote_eof:
            self._raw.write(self._stream.take())
        self._raw.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave_handshakes()
        self._stage = _CLOSING
        if hasattr(self, "_protocol"):
            self._protocol.connection_lost(self._error or exc)
        elif self._port.end.dials or hasattr(self, "_stream"):
            self._tell(ConnectionError("It closed the connection during the TLS handshake."))

    def pause_writing(self) -> None:
        self._blocked = True
        if self._stage == _OPEN:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._blocked = False
        self._unasked = 0
        if self._stage == _OPEN:
            self._protocol.resume_writing()

    # The protocol's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._stage == _OPEN and data:
            try:
                sealed = self._stream.encrypt(data)
            except TlsFault as error:
                self._break(error)
            else:
                self._raw.write(sealed)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._stage == _OPEN and not self._wrote_eof:
            self._say_end()
            self._raw.write_eof()

    def close(self) -> None:
        if self._stage == _OPEN:
            if not self._wrote_eof:
                self._say_end()
            self._stage = _CLOSING
            self._raw.close()
        elif self._stage != _CLOSING:
            self.abort()

    def _say_end(self) -> None:
        self._wrote_eof = True
        self._raw.write(self._stream.close())

    def abort(self) -> None:
        self._stage = _CLOSING
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._stage == _CLOSING or self._raw.is_closing()

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def is_reading(self) -> bool:
        return self._raw.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == CERTIFIED_NAME:
            return self._certified
        return self._raw.get_extra_info(name, default)
