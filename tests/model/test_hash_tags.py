"""Hash tags: which part of a key is one, and where keys with one lie."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.hash_tags import hash_tag, place_token, tag_range
from kvorum.model.keys import TOKEN_HASHES, partition_of, storage_key

MURMUR = TOKEN_HASHES["murmur3"]
SEEDS = st.integers(0, (1 << 32) - 1)
PARTS = st.lists(st.sampled_from([b"a", b"{", b"}", b"\xc3\xa9", b"7"]), max_size=8).map(b"".join)


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        (b"user:{7}:cart", b"7"),
        (b"{a}{b}", b"a"),
        (b"x{a}}", b"a"),
        (b"x{{a}}", b"{a"),
        (b"{}{a}", None),
        (b"user:{}", None),
        (b"{7", None),
        (b"7}", None),
        (b"}{7", None),
        (b"", None),
    ],
)
def test_the_tag_is_what_the_first_braces_hold(key: bytes, tag: bytes | None) -> None:
    assert hash_tag(key) == tag


@given(PARTS)
def test_it_is_what_an_expression_finds(key: bytes) -> None:
    found = re.match(rb"[^{]*\{([^}]+)\}", key, re.DOTALL)
    assert hash_tag(key) == (found[1] if found else None)


@given(PARTS, SEEDS)
def test_a_key_without_a_tag_lies_where_it_always_did(key: bytes, seed: int) -> None:
    if hash_tag(key) is None:
        assert place_token(MURMUR, seed, key) == MURMUR(key, seed)


@given(PARTS, PARTS, PARTS, SEEDS, st.integers(0, 16))
def test_keys_of_one_tag_share_a_partition_and_a_range(
    tag: bytes, first: bytes, second: bytes, seed: int, bits: int
) -> None:
    keys = [part.replace(b"{", b"") + b"{" + tag + b"}" + part for part in (first, second)]
    if hash_tag(keys[0]) != tag or hash_tag(keys[1]) != tag:
        return
    tokens = [place_token(MURMUR, seed, key) for key in keys]
    assert all(len(token) == len(MURMUR(b"", 0)) for token in tokens)
    assert len({partition_of(token, bits) for token in tokens}) == 1
    start, end = tag_range(MURMUR, seed, tag)
    assert all(
        start <= storage_key(token, "n", key) < end for token, key in zip(tokens, keys, strict=True)
    )


def test_keys_of_one_tag_have_tokens_of_their_own() -> None:
    tokens = {place_token(MURMUR, 0, b"{t}%d" % i)[:8] for i in range(1000)}
    assert len(tokens) == 1000


def test_the_last_range_ends_where_all_records_end() -> None:
    start, end = tag_range(lambda _key, _seed: b"\xff" * 16, 0, b"t")
    assert (start, end) == (b"d\xff\xff\xff\xff" + bytes(4), b"e")
