"""One client's connection: when to read, what to answer first, when to give up.

    open ──> ending ──> lingering ──> lost
             no more    all is sent,
             requests   input is dropped until the client closes

Responses leave in the order of their requests, whatever order they are made in: each waits
in the queue until those before it are there. What is ready is written at the end of the loop's
turn, one connection after the other (`listener.py` says why).

A request that comes before those before it are answered is carried out at once only where it and
they are safe (for HTTP see RFC 9112, section 9.3.2): what may change something is done alone.

Reading stops while too many requests wait for answers or too much lies unread by the client; input
that has come already, perhaps hundreds of requests, is kept as the backlog. Deadlines cost nothing
per request: the listener's sweeper looks at every connection once a tick, and one that is in the
same situation for too many ticks is ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from kvorum.listener.caller import Caller, caller_of
from kvorum.listener.face import E, Exchange, Face
from kvorum.listener.host import Host
from kvorum.listener.refusals import no_connection_left, stopping, too_slow
from kvorum.listener.unread_answers import PIECE_BYTES, write_in_pieces
from kvorum.listener.watch import BUSY, CLOSING, IDLE, READING, Watch
from kvorum.model.errors import KvorumError

_logger = logging.getLogger(__name__)

_OPEN, _ENDING, _LINGERING, _LOST = range(4)


class Connection(asyncio.Protocol):
    """One client of `face`, the protocol that is spoken."""

    __slots__ = (
        "_backlog",
        "_blocked",
        "_eof",
        "_host",
        "_interjection",
        "_latest",
        "_limits",
        "_next_is_last",
        "_open",
        "_paused",
        "_queue",
        "_session",
        "_stage",
        "_transport",
        "_unwritten",
        "_waiting",
        "_watch",
        "_write_soon",
        "_written",
        "answers",
    )

    _transport: asyncio.Transport

    def __init__(self, host: Host, face: Face) -> None:
        self.answers = host.answers
        self._host = host
        self._write_soon = host.write_soon
        self._limits = host.limits
        self._session = face.session(self)
        self._queue: deque[Exchange] = deque()
        """Those whose responses have not been written."""
        self._waiting: deque[tuple[Exchange, Callable[[Any], object]]] = deque()
        """The last of these, which have not been begun; and who is to carry them out."""
        self._open = 0
        """How many have been begun and not answered; the last one begun is `_latest`."""
        self._latest: Exchange
        self._unwritten = 0
        """Bytes of responses that are made."""
        self._stage = _OPEN
        self._next_is_last = host.leaving
        self._eof = False
        self._interjection = b""
        """What is to be written once the queue is empty."""
        # Backpressure
        self._backlog = b""
        self._paused = False
        self._blocked = False
        self._written = 0
        self._watch = Watch(host.tick)

    # The transport's side

    @property
    def caller(self) -> Caller:
        return caller_of(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.unread_high_bytes)
        if not self._host.admit(self):
            self._refuse(no_connection_left(self._limits.connections))
            self.write_ready()
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage = _LOST
        self._queue.clear()
        for exchange, _ in self._waiting:
            self._host.release(exchange.held)
        self._waiting.clear()
        self._backlog = b""
        self._drop_held()
        self._session.close()
        self._host.forget(self)

    def data_received(self, data: bytes) -> None:
        """Feed the reader as far as backpressure lets it; keep the rest."""
        if self._stage != _OPEN:
            if self._stage == _ENDING:
                self._pause()
            return
        if self._backlog:
            self._backlog += data
            return
        session = self._session
        at, end = 0, len(data)
        try:
            while at < end and self._stage == _OPEN:
                if self._blocked or len(self._queue) >= self._limits.pipeline:
                    self._backlog = data[at:]
                    self._pause()
                    return
                size = session.appetite
                whole = end <= size and at == 0
                session.feed(data if whole else memoryview(data)[at : at + size])
                at += size
        except KvorumError as error:
            self._fail(error)
        except Exception:
            _logger.exception("reading a request failed")
            self._fail(None)

    def eof_received(self) -> bool:
        """The client sends no more; what it has asked for it still gets."""
        self._eof = True
        if self._stage == _OPEN and self._queue:
            self._end_with(self._queue[-1])
        return self._stage == _ENDING

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._waiting:
            self._begin_waiting()
        if self._paused:
            self._go_on()

    # Requests

    def _fail(self, error: KvorumError | None) -> None:
        # A request that asked for the end may be followed by anything.
        if self._stage == _OPEN:
            self._refuse(error)

    def on_request(self, exchange: E, handle: Callable[[E], object]) -> None:
        if self._stage != _OPEN:
            self._host.release(exchange.held)  # it came behind the last one
            return
        self._queue.append(exchange)
        self._interjection = b""
        if self._next_is_last:
            self._end_with(exchange)
        # Hardly any client sends a request before it has its last answer.
        if len(self._queue) > 1 or self._blocked:
            self._waiting.append((exchange, handle))
            self._begin_waiting()
        else:
            self._begin(exchange, handle)

    def on_last_request(self, exchange: E, handle: Callable[[E], object]) -> None:
        self._next_is_last = True
        self.on_request(exchange, handle)

    def _begin_waiting(self) -> None:
        waiting = self._waiting
        while waiting and self._may_begin(waiting[0][0]):
            self._begin(*waiting.popleft())

    def _may_begin(self, exchange: Exchange) -> bool:
        if self._blocked or self._unwritten >= self._limits.unread_high_bytes:
            return False
        if not self._open:
            return True
        return exchange.is_safe and self._latest.is_safe and self._open < self._limits.parallel

    def _begin(self, exchange: E, handle: Callable[[E], object]) -> None:
        self._open += 1
        self._latest = exchange
        try:
            handle(exchange)
        except KvorumError as error:
            exchange.refuse(error)
        except Exception:
            _logger.exception("handling a request failed")
            exchange.fail()

    def interject(self, notice: bytes) -> None:
        if self._queue:
            self._interjection = notice
        else:
            self._transport.write(notice)

    def hold(self, size: int) -> None:
        self._host.hold(size)

    def _refuse(self, error: KvorumError | None) -> None:
        """Answer with `error` (None: one of this program) as the last thing that is said."""
        self._drop_held()
        exchange = self._session.last_word()
        self._queue.append(exchange)
        self._end_with(exchange)
        self._open += 1
        if error is None:
            exchange.fail()
        else:
            exchange.refuse(error)

    def _end_with(self, exchange: Exchange) -> None:
        """Take no more requests: `exchange` is the last one."""
        self._stage = _ENDING
        self._interjection = b""
        exchange.end()

    def _drop_held(self) -> None:
        held, self._session.held = self._session.held, 0
        if held:
            self._host.release(held)

    # Responses

    def on_response(self, exchange: Exchange) -> None:
        self._open -= 1
        if exchange.held:
            self._host.release(exchange.held)
        size = len(exchange.response)
        self._unwritten += size
        answers = self.answers
        answers.bytes += size
        if answers.bytes > answers.limit:
            answers.relieve()
        if self._queue and self._queue[0] is exchange:
            self._write_soon(self)

    def write_ready(self) -> None:
        """Write all responses that no other one has to go before."""
        queue = self._queue
        if not queue or not queue[0].response:
            return  # the connection was lost, or another call has written it
        exchange = queue.popleft()
        # Taken from it, as an idle connection remembers its last exchange.
        response, exchange.response = exchange.response, b""
        if queue and queue[0].response:
            ready = [response]
            while queue and queue[0].response:
                exchange = queue.popleft()
                ready.append(exchange.response)
                exchange.response = b""
            response = self.answers.together(ready)
        size = len(response)
        self._unwritten -= size
        self._written += size
        if size <= PIECE_BYTES:
            self._transport.write(response)
        else:
            write_in_pieces(self._transport, response)
        if self._stage == _ENDING and not queue:
            self._linger()
            return
        if self._waiting:
            self._begin_waiting()
        if self._paused:
            self._go_on()
        if self._interjection and not queue:
            interjection, self._interjection = self._interjection, b""
            self._transport.write(interjection)

    def _linger(self) -> None:
        self._stage = _LINGERING
        self._backlog = b""
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # Backpressure

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._stage != _OPEN or self._blocked or len(self._queue) > self._limits.pipeline // 2:
            return
        self._paused = False
        backlog, self._backlog = self._backlog, b""
        self.data_received(backlog)
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    # Ends

    def drain(self) -> None:
        """Finish what has begun, then close. A client that is idle is told of a planned stop."""
        self.take_leave()
        if self._stage != _OPEN or self._session.reading:
            return
        if self._host.leaving:
            self._refuse(stopping())
        elif self._queue:
            self._end_with(self._queue[-1])
        else:
            self._transport.close()

    def take_leave(self) -> None:
        """Take the last request that has come, or the next one, for the last. An answer that is
        made cannot say any more that it is the last.
        """
        self._next_is_last = True
        if self._stage != _OPEN or self._session.reading or not self._queue:
            return
        if not self._queue[-1].response:
            self._end_with(self._queue[-1])

    def abort(self) -> None:
        self._stage = _LOST
        self._queue.clear()
        self._transport.abort()

    @property
    def is_idle(self) -> bool:
        """True if it is open, and no request or answer has begun and not ended."""
        return self._doing(self._transport.get_write_buffer_size()) == IDLE

    @property
    def idle_since(self) -> int:
        """In which tick it was seen to be idle."""
        return self._watch.idle_since(self._session.begun, self._host.tick)

    def give_up(self) -> None:
        """Close it, while it is idle."""
        self._stage = _LINGERING
        self._transport.close()

    @property
    def unread(self) -> int:
        """How many bytes of answers are made, and not taken by the client."""
        if self._stage == _LOST:
            return 0
        return self._unwritten + self._transport.get_write_buffer_size()

    def waiting(self, tick: int) -> int:
        """For how many ticks the client has taken next to nothing of what there is."""
        return tick - self._watch.taken_since

    def sweep(self, tick: int) -> None:
        """Enforce the deadlines."""
        limits, unread = self._limits, self._transport.get_write_buffer_size()
        ago = self._watch.saw_taken(self._written - unread, unread, limits, tick)
        if ago >= limits.ticks(limits.unread_s):
            _logger.info("closed a connection whose client left %d bytes unread", unread)
            self.abort()
        doing = self._doing(unread)
        age = self._watch.saw((doing, self._session.begun), tick)
        if doing == READING and age >= limits.ticks(limits.request_s):
            self._refuse(too_slow(limits.request_s))
        elif doing == IDLE and age >= limits.ticks(limits.idle_s):
            self._transport.close()
        elif doing == CLOSING and age >= limits.ticks(limits.linger_s):
            self.abort()

    def _doing(self, unread: int) -> int:
        if self._stage == _LINGERING and not unread:
            return CLOSING
        if self._stage != _OPEN or self._paused:
            return BUSY
        if self._session.reading:
            return READING
        return BUSY if self._queue or unread else IDLE
