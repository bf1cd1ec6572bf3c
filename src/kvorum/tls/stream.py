"""One side of a TLS connection as a state machine: bytes in, bytes out, no I/O.

    shaking hands ── both sides are who they may be ──> open ──> ended (close_notify came)

The cryptography is OpenSSL's (RFC 8446 for TLS 1.3, RFC 5246 for 1.2), which reads and writes
memory here instead of a socket. What comes from the network is given to `shake`, and once that is
done to `decrypt`; what `encrypt` returns, and what `take` finds, is to be sent in that order.

A record holds at most 16 KiB of plaintext, and OpenSSL decrypts one a call. A record is read when
it is complete, so all that a stream keeps is one record that is not, and a handshake message that
is not, which OpenSSL bounds.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from kvorum.tls.faults import fault

RECORD_BYTES: Final = 16 << 10
"""The most plaintext that a record holds."""


class TlsStream:
    """The state of one side. `open`: the handshake is complete. `ended`: the other side has said
    that it sends no more.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "_read", "_write", "ended", "open")

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        """`server`: this side was connected to. `name`: the host that was asked for, if any."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=name
        )
        self._read = self._object.read
        self._write = self._object.write
        self.open = False
        self.ended = False

    # The handshake

    def shake(self, data: bytes) -> None:
        """Go on with the handshake by what has come. Raises TlsFault where it has failed; `take`
        has what is to be told of that, too.
        """
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise fault(error) from error
        self.open = True

    def certificate(self) -> dict[str, Any]:
        """The certificate that the other side has shown and that was verified, as
        `ssl.SSLSocket.getpeercert` has it; empty without one."""
        return self._object.getpeercert() or {}

    @property
    def version(self) -> str:
        """The version of TLS that the two sides speak, once the stream is open."""
        return self._object.version() or ""

    # Once it is open

    def decrypt(self, data: bytes) -> bytes:
        """The plaintext that `data` completes; perhaps none. Raises TlsFault.

        No `data` gives what came together with the end of the handshake.
        """
        incoming = self._incoming
        incoming.write(data)
        size = len(data)
        if not 0 < size <= RECORD_BYTES:
            return self._rest()
        try:
            plain = self._read(size)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            return self._end(error)
        if not plain:
            self.ended = True
        # A record is longer than its plaintext: so it is exhausted, and nearly always alone.
        if len(plain) < size and not incoming.pending:
            return plain
        return plain + self._rest()

    def _rest(self) -> bytes:
        parts: list[bytes] = []
        incoming, pending, read = self._incoming, self._object.pending, self._read
        try:
            while incoming.pending or pending():
                part = read(RECORD_BYTES)
                if not part:
                    self.ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # the last record is not complete
        except ssl.SSLError as error:
            parts.append(self._end(error))
        return b"".join(parts)

    def _end(self, error: ssl.SSLError) -> bytes:
        if not isinstance(error, ssl.SSLZeroReturnError):
            raise fault(error) from error
        self.ended = True
        return b""

    def encrypt(self, data: bytes | bytearray | memoryview) -> bytes:
        """What is to be sent for `data`, and for all that OpenSSL had to say before. Raises
        TlsFault."""
        try:
            if len(data) <= RECORD_BYTES:
                if data:
                    self._write(data)
            else:
                view = memoryview(data)
                for at in range(0, len(view), RECORD_BYTES):
                    self._write(view[at : at + RECORD_BYTES])
        except ssl.SSLError as error:
            raise fault(error) from error
        return self._outgoing.read()

    def close(self) -> bytes:
        """What is to be sent to say that nothing follows. The other side may still send."""
        if self.open:
            try:
                self._object.unwrap()
            except ssl.SSLWantReadError:
                pass  # the other side has not closed yet, and need not
            except ssl.SSLError as error:
                # What came in last was broken: nothing more is to be said to whoever sent it.
                raise fault(error) from error
        return self._outgoing.read()

    @property
    def has_more_to_say(self) -> bool:
        """True if `take` has something: of the handshake, an alert, or an answer to a new key."""
        return self._outgoing.pending > 0

    def take(self) -> bytes:
        """What is to be sent, and was not handed out before."""
        return self._outgoing.read()
