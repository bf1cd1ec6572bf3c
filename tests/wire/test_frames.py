"""Frames: any chunking gives the same payloads; any damage is refused, none gets through."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh32_digest

from kvorum.model.errors import ProtocolError
from kvorum.wire import frames
from kvorum.wire.frames import (
    FRAME_BYTES_MAX,
    HANDSHAKE_BYTES_MAX,
    HANDSHAKE_EPOCH,
    HEADER_BYTES,
    PREFACE,
    FrameDecoder,
    encode_frame,
    split_frame,
)

EPOCH = 7
HANDSHAKE_FRAMES = 2
GREETING = b"hello"

payload_lists = st.lists(st.binary(max_size=300), max_size=6)


def handshake() -> bytes:
    return PREFACE + encode_frame(HANDSHAKE_EPOCH, GREETING) * HANDSHAKE_FRAMES


def stream(payloads: list[bytes]) -> bytes:
    return handshake() + b"".join(encode_frame(EPOCH, payload) for payload in payloads)


def decoded(*chunks: bytes) -> list[bytes]:
    """The batch payloads in `chunks`, which begin with the handshake."""
    decoder = FrameDecoder(HANDSHAKE_FRAMES)
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    wanted = [HANDSHAKE_EPOCH] * HANDSHAKE_FRAMES + [EPOCH] * len(frames)
    assert [epoch for epoch, _ in frames] == wanted[: len(frames)]
    payloads = [payload for _, payload in frames]
    assert payloads[:HANDSHAKE_FRAMES] == [GREETING] * len(payloads[:HANDSHAKE_FRAMES])
    return payloads[HANDSHAKE_FRAMES:]


def after_handshake() -> FrameDecoder:
    decoder = FrameDecoder(HANDSHAKE_FRAMES)
    decoder.feed(handshake())
    return decoder


@given(payload_lists, st.data())
def test_any_chunking_gives_the_same_payloads(payloads: list[bytes], data: st.DataObject) -> None:
    whole = stream(payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    edges = [0, *cuts, len(whole)]
    chunks = [whole[a:b] for a, b in pairwise(edges)]
    assert decoded(*chunks) == payloads


@given(payload_lists)
def test_byte_by_byte(payloads: list[bytes]) -> None:
    whole = stream(payloads)
    assert decoded(*(whole[i : i + 1] for i in range(len(whole)))) == payloads


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=4), st.data())
def test_damage_is_refused(payloads: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(stream(payloads))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError, match=r"check|announces|during|after|begin"):
        decoded(bytes(whole))


@given(payload_lists, st.data())
def test_a_truncated_stream_gives_whole_payloads_only(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = stream(payloads)
    kept = data.draw(st.integers(0, len(whole)))
    got = decoded(whole[:kept])
    assert got == payloads[: len(got)]
    ends = [len(stream(payloads[:count])) for count in range(1, len(payloads) + 1)]
    assert len(got) == sum(end <= kept for end in ends)


@given(st.binary(min_size=1))
def test_another_protocol_is_known_by_its_first_byte(garbage: bytes) -> None:
    if garbage[:1] == PREFACE[:1]:
        garbage = b"G" + garbage
    with pytest.raises(ProtocolError, match="does not begin like one of a kvorum node"):
        FrameDecoder(HANDSHAKE_FRAMES).feed(garbage)


@pytest.mark.parametrize("epoch", [1, EPOCH, (1 << 63) - 1])
def test_a_frame_tells_the_epoch_it_was_made_in(epoch: int) -> None:
    decoder = after_handshake()
    assert decoder.feed(encode_frame(epoch, b"batch")) == [(epoch, b"batch")]
    assert split_frame(encode_frame(epoch, b"batch")) == (epoch, b"batch")


def test_the_handshake_does_not_come_back() -> None:
    with pytest.raises(ProtocolError, match="of the handshake came after its end"):
        after_handshake().feed(encode_frame(HANDSHAKE_EPOCH, GREETING))


def test_a_batch_cannot_take_the_place_of_a_handshake_frame() -> None:
    decoder = FrameDecoder(HANDSHAKE_FRAMES)
    decoder.feed(PREFACE + encode_frame(HANDSHAKE_EPOCH, GREETING))
    with pytest.raises(ProtocolError, match="epoch 7 came during the handshake"):
        decoder.feed(encode_frame(EPOCH, b"batch"))


def test_the_longest_payloads() -> None:
    decoder = FrameDecoder(HANDSHAKE_FRAMES)
    greeting = bytes(HANDSHAKE_BYTES_MAX)
    greetings = PREFACE + encode_frame(HANDSHAKE_EPOCH, greeting) * 2
    assert decoder.feed(greetings) == [(HANDSHAKE_EPOCH, greeting)] * 2
    payload = bytes(FRAME_BYTES_MAX)
    assert decoder.feed(encode_frame(EPOCH, payload)) == [(EPOCH, payload)]


def test_too_long_a_payload_is_refused_by_its_header_alone() -> None:
    header = encode_frame(EPOCH, bytes(FRAME_BYTES_MAX + 1))[:HEADER_BYTES]
    with pytest.raises(ProtocolError, match=f"{FRAME_BYTES_MAX} are the most"):
        after_handshake().feed(header)


def test_too_long_a_handshake_is_refused_by_its_header_alone() -> None:
    header = encode_frame(HANDSHAKE_EPOCH, bytes(HANDSHAKE_BYTES_MAX + 1))[:HEADER_BYTES]
    with pytest.raises(ProtocolError, match=f"{HANDSHAKE_BYTES_MAX} are the most"):
        FrameDecoder(HANDSHAKE_FRAMES).feed(PREFACE + header)


def test_a_long_frame_in_many_pieces_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def counted(data: bytes) -> bytes:
        nonlocal looks
        looks += 1
        return xxh32_digest(data)

    monkeypatch.setattr(frames, "xxh32_digest", counted)
    payload = bytes(range(256)) * 4096
    whole = encode_frame(EPOCH, payload)
    decoder = after_handshake()
    looks = 0
    got = [p for at in range(0, len(whole), 100) for p in decoder.feed(whole[at : at + 100])]
    assert got == [(EPOCH, payload)]
    assert looks <= 3
