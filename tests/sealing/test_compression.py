"""One record to one frame and back, and all that is not such a frame."""

from __future__ import annotations

import functools
import json
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.sealing.compression import LEVEL_MAX, LEVEL_MIN, MIN_BYTES, Codec, learn

SIZE_MAX = 1 << 20


def session(number: int) -> bytes:
    chance = random.Random(number)
    return json.dumps(
        {
            "user": chance.randrange(10**6),
            "roles": chance.sample(["admin", "editor", "viewer", "billing"], 2),
            "theme": chance.choice(["dark", "light"]),
            "language": chance.choice(["en", "de", "fr", "es"]),
            "token": f"{chance.getrandbits(64):016x}",
        }
    ).encode()


@functools.cache
def trained() -> bytes:
    dictionary = learn([session(number) for number in range(3000)], 16 << 10, 3)
    assert dictionary is not None
    return dictionary


@functools.cache
def codec(level: int, dictionary: bytes | None = None) -> Codec:
    return Codec(level, dictionary)


def both() -> list[Codec]:
    return [codec(3), codec(3, trained())]


VALUES = st.one_of(
    st.binary(max_size=2000),
    st.integers(0, 10**6).map(session),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=50), st.integers(0, 5000)),
)


@given(VALUES, st.integers(LEVEL_MIN, LEVEL_MAX), st.booleans())
def test_what_was_compressed_comes_back(data: bytes, level: int, with_dictionary: bool) -> None:
    one = codec(level, trained() if with_dictionary else None)
    assert one.decompress(one.compress(data), len(data)) == data


def test_repetition_shrinks_and_a_dictionary_shrinks_what_is_small() -> None:
    without, with_dictionary = both()
    assert len(without.compress(session(1) * 100)) < len(session(1)) * 2
    fresh = [session(number) for number in range(9000, 9100)]
    plain = sum(map(len, fresh))
    assert sum(len(with_dictionary.compress(body)) for body in fresh) < plain * 0.5
    assert sum(len(without.compress(body)) for body in fresh) > plain * 0.75


def test_less_than_the_least_bytes_gains_next_to_nothing() -> None:
    body = session(1)[: MIN_BYTES - 1]
    assert len(codec(3).compress(body)) > 0.8 * len(body)


def test_frames_carry_no_magic_number_checksum_or_dictionary_id() -> None:
    """One byte of header, one or two of size, three of a block: nothing else is spent."""
    noise = random.Random(1).randbytes(100)
    for one in both():
        assert len(one.compress(noise)) == len(noise) + 5


@given(VALUES.filter(len), st.booleans(), st.data())
def test_no_more_than_the_bound_comes_out(
    body: bytes, with_dictionary: bool, data: st.DataObject
) -> None:
    one = both()[with_dictionary]
    bound = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(CorruptRecord, match=f"declares {len(body)} bytes, .* 1 to {bound}"):
        one.decompress(one.compress(body), bound)


def declaring(size: int, rest: bytes) -> bytes:
    """A frame of one segment whose header declares `size` in eight bytes."""
    return b"\xe0" + size.to_bytes(8, "little") + rest


RUN = b"\x23\x00\x00a"  # the last block, run-length: four bytes "a"


def test_a_frame_made_by_hand_is_read() -> None:
    assert codec(3).decompress(declaring(4, RUN), SIZE_MAX) == b"aaaa"


@pytest.mark.parametrize("size", [0, 1, 3, 5, 1000, SIZE_MAX])
def test_a_frame_that_lies_about_its_size_is_refused(size: int) -> None:
    for one in both():
        with pytest.raises(CorruptRecord):
            one.decompress(declaring(size, RUN), SIZE_MAX)


@pytest.mark.parametrize("size", [SIZE_MAX + 1, 1 << 31, 1 << 62, (1 << 64) - 2, (1 << 64) - 1])
def test_a_huge_declared_size_is_refused_before_anything_is_allocated(size: int) -> None:
    for one in both():
        tracemalloc.start()
        try:
            with pytest.raises(CorruptRecord, match="zstd frame declares"):
                one.decompress(declaring(size, RUN), SIZE_MAX)
            assert tracemalloc.get_traced_memory()[1] < 100_000
        finally:
            tracemalloc.stop()


def test_a_frame_that_declares_no_size_is_refused() -> None:
    undeclared = b"\x00\x58" + RUN
    with pytest.raises(CorruptRecord, match="zstd frame declares"):
        codec(3).decompress(undeclared, SIZE_MAX)


def test_blocks_beyond_the_declared_size_are_refused() -> None:
    """A bomb: 2,000 blocks of 128 KiB each behind a header that declares one such block."""
    size = 128 << 10
    block = ((size << 3) | 2).to_bytes(3, "little") + b"a"
    last = ((size << 3) | 3).to_bytes(3, "little") + b"a"
    assert codec(3).decompress(declaring(size, last), SIZE_MAX) == b"a" * size
    with pytest.raises(CorruptRecord):
        codec(3).decompress(declaring(size, block * 2000 + last), SIZE_MAX)


@given(VALUES, st.booleans(), st.data())
def test_a_frame_cut_short_or_followed_by_more_is_refused(
    body: bytes, with_dictionary: bool, data: st.DataObject
) -> None:
    one = both()[with_dictionary]
    frame = one.compress(body)
    with pytest.raises(CorruptRecord):
        one.decompress(frame[: data.draw(st.integers(0, len(frame) - 1))], SIZE_MAX)
    with pytest.raises(CorruptRecord):
        one.decompress(frame + data.draw(st.binary(min_size=1, max_size=20)), SIZE_MAX)
    with pytest.raises(CorruptRecord):
        one.decompress(frame + frame, SIZE_MAX)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_refused_or_stays_within_the_bound(
    garbage: bytes, with_dictionary: bool
) -> None:
    try:
        opened = both()[with_dictionary].decompress(garbage, 1000)
    except CorruptRecord:
        return
    assert len(opened) <= 1000


@given(st.integers(0, 1000), st.booleans(), st.data())
def test_a_damaged_frame_does_no_harm(
    number: int, with_dictionary: bool, data: st.DataObject
) -> None:
    """It may come out as other bytes: whoever stores frames checks them. But never as more."""
    one = both()[with_dictionary]
    frame = bytearray(one.compress(session(number)))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        opened = one.decompress(bytes(frame), 1000)
    except CorruptRecord:
        opened = b""
    assert len(opened) <= 1000
    assert one.decompress(one.compress(session(number)), 1000) == session(number)


@pytest.mark.parametrize("level", [LEVEL_MIN - 1, LEVEL_MAX + 1, -5])
def test_other_levels_are_refused(level: int) -> None:
    with pytest.raises(ValueError, match=f"{level} is not a level"):
        Codec(level)


@pytest.mark.parametrize("dictionary", [b"", b"x" * 1000])
def test_what_is_no_dictionary_is_refused(dictionary: bytes) -> None:
    with pytest.raises(StorageError, match=f"dictionary of {len(dictionary)} byte"):
        Codec(3, dictionary)


def test_too_few_samples_make_no_dictionary() -> None:
    assert learn([], 16 << 10, 3) is None
    assert learn([b""] * 3000, 16 << 10, 3) is None
