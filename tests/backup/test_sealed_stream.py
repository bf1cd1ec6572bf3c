"""Sealed streams: what comes out is what went in, or nothing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.backup.sealed_stream import (
    MAGIC,
    PIECE_BYTES,
    is_sealed,
    sealed_reader,
    sealed_writer,
)
from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import MasterKey

KEY = MasterKey(bytes(range(32)))
OTHER = MasterKey(bytes(32))
HEADER_BYTES = 56
SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 5]


def sealed(*parts: bytes) -> bytes:
    out = io.BytesIO()
    with sealed_writer(out, KEY) as writer:
        for part in parts:
            writer.write(part)
    return out.getvalue()


def opened(data: bytes, key: MasterKey = KEY) -> bytes:
    return sealed_reader(io.BytesIO(data), key).read()


@given(st.lists(st.binary(max_size=2000), max_size=20))
def test_it_opens_to_what_was_written(parts: list[bytes]) -> None:
    assert opened(sealed(*parts)) == b"".join(parts)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_around_that_of_a_piece(size: int) -> None:
    text = bytes(i % 251 for i in range(size))
    data = sealed(text)
    pieces = max(1, -(-size // PIECE_BYTES))
    assert len(data) == HEADER_BYTES + size + 16 * pieces
    assert opened(data) == text


@pytest.mark.parametrize("size", SIZES)
def test_cut_short_anywhere_it_does_not_open(size: int) -> None:
    data = sealed(bytes(size))
    ends = {0, 1, 20, HEADER_BYTES, HEADER_BYTES + PIECE_BYTES + 16, len(data) - 1}
    for end in ends - {len(data)}:
        if end < len(data):
            with pytest.raises(ConfigError):
                opened(data[:end])


def test_longer_it_does_not_open() -> None:
    for size in SIZES:
        with pytest.raises(ConfigError, match="damaged or cut short"):
            opened(sealed(bytes(size)) + b"x")


def test_pieces_cannot_change_places_or_be_left_out() -> None:
    data = sealed(bytes(3 * PIECE_BYTES))
    size = PIECE_BYTES + 16
    header, one, two, three = (
        data[:56],
        *(data[56 + i * size : 56 + (i + 1) * size] for i in range(3)),
    )
    assert opened(header + one + two + three) == bytes(3 * PIECE_BYTES)
    for wrong in (two + one + three, one + three, one + one + three, one + two, three):
        with pytest.raises(ConfigError):
            opened(header + wrong)


@given(st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_anywhere(place: int, bit: int) -> None:
    data = bytearray(sealed(b"some text"))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(ConfigError):
        opened(bytes(data))


def test_two_streams_of_one_text_have_nothing_in_common() -> None:
    one, two = sealed(b"text"), sealed(b"text")
    assert one[24:] != two[24:]
    assert one[56:] != two[56:]


def test_another_key_is_refused_by_its_id() -> None:
    with pytest.raises(ConfigError, match=f"{KEY.id}.*{OTHER.id}"):
        opened(sealed(b"text"), OTHER)


def test_another_format_is_refused() -> None:
    data = sealed(b"text").replace(MAGIC, b"kvorum sealed 2\n")
    assert is_sealed(data)
    with pytest.raises(ConfigError, match="format"):
        opened(data)


def test_what_fails_while_it_is_written_does_not_open() -> None:
    out = io.BytesIO()

    def fail() -> None:
        with sealed_writer(out, KEY) as writer:
            writer.write(bytes(PIECE_BYTES + 1))
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    with pytest.raises(ConfigError):
        opened(out.getvalue())


def test_it_is_read_line_by_line_from_a_source_that_gives_little() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7))

    reader = sealed_reader(Trickle(sealed(b"one\n" * 30_000)), KEY)
    assert list(reader) == [b"one\n"] * 30_000
