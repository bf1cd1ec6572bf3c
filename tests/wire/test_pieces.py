"""Pieces: cut and put together, a message is what it was; whatever lies is refused."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ProtocolError
from kvorum.wire import pieces
from kvorum.wire.batches import decode_batch, encode_batch, pack
from kvorum.wire.frames import (
    FRAME_BYTES_MAX,
    HANDSHAKE_EPOCH,
    PREFACE,
    FrameDecoder,
    encode_frame,
)
from kvorum.wire.messages import Write, Wrote
from kvorum.wire.pieces import (
    NO_MORE_PIECES,
    PIECE_BYTES,
    PIECE_MARK,
    WHOLE_BYTES_MAX,
    Assembly,
    encode_piece,
)

HEAD_BYTES = len(NO_MORE_PIECES)
SHORT_PIECE = 7


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few bytes make many of them."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", SHORT_PIECE)


def encode_pieces(whole: bytes) -> list[bytes]:
    """As a link sends them one after another."""
    return [encode_piece(whole, at) for at in range(0, len(whole), pieces.PIECE_BYTES)]


def piece(length: int, start: int, data: bytes) -> bytes:
    return PIECE_MARK + length.to_bytes(8) + start.to_bytes(8) + data


class Dumb:
    """What an assembly does, in the simplest way: it keeps all pieces, and looks at them anew."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int, bytes]] = []

    def add(self, data: bytes) -> bytes | None:
        length, start = int.from_bytes(data[1:9]), int.from_bytes(data[9:17])
        if start == 0:
            self.pieces = []
        self.pieces.append((length, start, data[17:]))
        whole = b"".join(part for _, _, part in self.pieces)
        ends = [sum(len(part) for _, _, part in self.pieces[:n]) for n in range(len(self.pieces))]
        fits = [at == end for (_, at, _), end in zip(self.pieces, ends, strict=True)]
        agrees = len({of for of, _, _ in self.pieces}) == 1
        if not (all(fits) and agrees and len(whole) <= length and (data[17:] or not length)):
            raise ProtocolError("no")
        if length and len(whole) == length:
            self.pieces = []
            return whole
        return None


wholes = st.binary(min_size=1, max_size=60)
lies = st.builds(piece, st.integers(0, 30), st.integers(0, 30), st.binary(max_size=10))
honest = wholes.map(encode_pieces)
cut_short = st.builds(lambda all_, n: all_[:n], honest, st.integers(0, 9))
streams = st.lists(st.one_of(honest, honest, cut_short, lies.map(lambda lie: [lie])), max_size=6)


@given(st.lists(wholes, max_size=5))
def test_what_is_cut_is_put_together(messages: list[bytes]) -> None:
    assembly = Assembly()
    got = [assembly.add(part) for whole in messages for part in encode_pieces(whole)]
    assert [bytes(whole) for whole in got if whole is not None] == messages
    assert len(assembly._held) == 0


@given(streams)
def test_an_assembly_does_what_the_dumb_one_does(stream: list[list[bytes]]) -> None:
    assembly, dumb = Assembly(), Dumb()
    for part in (part for parts in stream for part in parts):
        try:
            wanted = dumb.add(part)
        except ProtocolError:
            with pytest.raises(ProtocolError, match=r"^A piece for byte"):
                assembly.add(part)
            return
        assert assembly.add(part) == wanted
        assert len(assembly._held) == sum(len(data) for _, _, data in dumb.pieces)


@given(st.lists(wholes, min_size=1, max_size=3), st.integers(1, 40), st.data())
def test_batches_pass_between_pieces_however_the_stream_is_cut(
    messages: list[bytes], read_size: int, data: st.DataObject
) -> None:
    """As a link sends them: each piece in a frame of its own, and batches anywhere between."""
    numbers = count()
    payloads: list[bytes] = []
    for part in (part for whole in messages for part in encode_pieces(whole)):
        between = data.draw(st.integers(0, 2))
        payloads += [encode_batch([Wrote(next(numbers))]) for _ in range(between)]
        payloads.append(part)
    stream = b"".join(encode_frame(1, payload) for payload in payloads)
    decoder, assembly = after_handshake(), Assembly()
    got, batches = [], []
    for at in range(0, len(stream), read_size):
        for _epoch, payload in decoder.feed(stream[at : at + read_size]):
            if not payload.startswith(PIECE_MARK):
                batches += decode_batch(payload)
            elif whole := assembly.add(payload):
                got.append(bytes(whole))
    assert got == messages
    assert batches == [Wrote(n) for n in range(next(numbers))]


def after_handshake() -> FrameDecoder:
    decoder = FrameDecoder(handshake_frames=1)
    decoder.feed(PREFACE + encode_frame(HANDSHAKE_EPOCH, b"hello"))
    return decoder


@given(wholes, st.data())
def test_a_message_that_is_cut_off_is_never_whole(whole: bytes, data: st.DataObject) -> None:
    parts = encode_pieces(whole)
    kept = data.draw(st.integers(0, len(parts) - 1))
    assembly = Assembly()
    assert [assembly.add(part) for part in parts[:kept]] == [None] * kept
    assert len(assembly._held) == kept * SHORT_PIECE


def test_what_is_given_up_is_let_go_of() -> None:
    assembly = Assembly()
    first, *_ = encode_pieces(bytes(20))
    assembly.add(first)
    assert assembly.add(NO_MORE_PIECES) is None
    assert len(assembly._held) == 0
    assembly.add(first)
    assert assembly.add(encode_piece(b"next", 0)) == bytearray(b"next")


def test_nothing_is_set_aside_for_what_is_announced() -> None:
    assembly = Assembly()
    assembly.add(piece(WHOLE_BYTES_MAX, 0, b"a"))
    assert len(assembly._held) == 1


def test_too_long_a_message_is_refused_by_its_first_piece() -> None:
    with pytest.raises(ProtocolError, match=f"A message of {WHOLE_BYTES_MAX + 1} bytes"):
        Assembly().add(piece(WHOLE_BYTES_MAX + 1, 0, b"a"))
    with pytest.raises(ProtocolError, match="the longest may have 9"):
        Assembly(9).add(piece(10, 0, b"a"))


@pytest.mark.parametrize("length", range(1, HEAD_BYTES))
def test_a_piece_has_a_head(length: int) -> None:
    with pytest.raises(ProtocolError, match="no complete head"):
        Assembly().add(encode_piece(b"whole", 0)[:length])


def test_no_batch_is_taken_for_a_piece() -> None:
    for size in (0, 1, 15, 16, 65_535, 65_536):
        assert not encode_batch([Wrote(1)] * size).startswith(PIECE_MARK)


def test_a_piece_fits_a_frame_and_any_message_fits_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", PIECE_BYTES)
    record = bytes(range(256)) * (3 * FRAME_BYTES_MAX // 256)
    [whole] = pack([Write(1, b"key", record)], FRAME_BYTES_MAX).wholes
    parts = encode_pieces(whole)
    assert max(map(len, parts)) <= FRAME_BYTES_MAX
    assembly = Assembly()
    *none, got = [assembly.add(part) for part in parts]
    assert none == [None] * len(none)
    assert got is not None
    assert decode_batch(got) == [Write(1, b"key", record)]
