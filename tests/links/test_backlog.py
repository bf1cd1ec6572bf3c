"""The backlog: bounded by bytes and by time, and what comes out of it can be put together."""

from __future__ import annotations

from kvorum.links.backlog import Backlog
from kvorum.links.traffic import Traffic
from kvorum.links.transport import LONG_S_MAX
from kvorum.wire.pieces import PIECE_BYTES, Assembly

LONG = bytes(range(256)) * (3 * PIECE_BYTES // 256)


def sent(backlog: Backlog, now: float = 0.0) -> list[bytes]:
    """All that is sent, as the other side puts it together."""
    assembly = Assembly()
    wholes: list[bytes] = []
    while (piece := backlog.next_piece(now)) is not None:
        whole = assembly.add(piece.payload)
        if whole is not None:
            wholes.append(bytes(whole))
    assert len(assembly._held) == 0
    return wholes


def test_all_are_sent_in_their_order() -> None:
    traffic = Traffic()
    backlog = Backlog(1 << 30, traffic)
    wholes = [LONG, LONG + b"!", b"short", LONG[:PIECE_BYTES]]
    assert all(backlog.add(whole, 1, 0.0) for whole in wholes)
    assert backlog.size == sum(map(len, wholes))
    assert sent(backlog) == wholes
    assert (backlog.size, len(backlog.waiting)) == (0, 0)
    assert (traffic.messages_out, traffic.messages_dropped) == (4, 0)


def test_one_may_go_over_the_bound_however_long_it_is() -> None:
    traffic = Traffic()
    backlog = Backlog(len(LONG) // 2, traffic)
    assert backlog.add(LONG, 1, 0.0)
    assert not backlog.add(b"one more", 1, 0.0)
    assert traffic.messages_dropped == 1
    assert backlog.take_refused() == [len(b"one more")]
    assert backlog.take_refused() == []
    assert sent(backlog) == [LONG]
    assert backlog.add(LONG, 1, 0.0)


def test_what_is_late_is_given_up_even_when_it_has_begun() -> None:
    traffic = Traffic()
    backlog, assembly = Backlog(1 << 30, traffic), Assembly()
    backlog.add(LONG, 1, 0.0)
    backlog.add(LONG, 1, 0.0)
    backlog.add(b"in time", 2, 1.0)
    first = backlog.next_piece(LONG_S_MAX - 1)
    assert first is not None
    assert assembly.add(first.payload) is None
    late = backlog.next_piece(LONG_S_MAX)
    assert late is not None
    assert assembly.add(late.payload) == bytearray(b"in time")
    assert (traffic.messages_out, traffic.messages_dropped) == (1, 2)
    assert backlog.next_piece(LONG_S_MAX) is None


def test_the_other_side_lets_go_of_what_nothing_follows() -> None:
    backlog, assembly = Backlog(1 << 30, Traffic()), Assembly()
    backlog.add(LONG, 1, 0.0)
    for now in (0.0, LONG_S_MAX):
        piece = backlog.next_piece(now)
        assert piece is not None
        assert assembly.add(piece.payload) is None
    assert len(assembly._held) == 0
    assert backlog.next_piece(LONG_S_MAX) is None


def test_with_its_link_all_is_given_up() -> None:
    traffic = Traffic()
    backlog = Backlog(1 << 30, traffic)
    backlog.add(LONG, 1, 0.0)
    backlog.add(LONG, 1, 0.0)
    backlog.next_piece(0.0)
    backlog.clear()
    assert (len(backlog.waiting), backlog.size, traffic.messages_dropped) == (0, 0, 2)
    assert backlog.next_piece(0.0) is None
