from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import InvalidKey
from kvorum.model.keys import (
    KEY_BYTES_MAX,
    TOKEN_BITS,
    TOKEN_HASHES,
    encode_key,
    is_namespace_name,
    partition_of,
    partition_range,
    split_storage_key,
    storage_key,
)

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
NAMESPACES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
TOKENS = st.binary(min_size=16, max_size=16)
PARTITION_BITS = st.integers(0, 16)


@given(KEYS)
def test_a_key_is_its_utf8(key: str) -> None:
    assert encode_key(key) == key.encode("utf-8")


@pytest.mark.parametrize("key", ["x" * KEY_BYTES_MAX, "é" * (KEY_BYTES_MAX // 2), "\0", "🎉"])
def test_keys_up_to_the_limit_are_taken(key: str) -> None:
    assert encode_key(key).decode() == key


@pytest.mark.parametrize(
    "key", ["", "x" * (KEY_BYTES_MAX + 1), "é" * (KEY_BYTES_MAX // 2) + "x", "\ud800"]
)
def test_keys_that_are_empty_too_long_or_no_text_are_refused(key: str) -> None:
    with pytest.raises(InvalidKey, match=r"1 to 1024 bytes|no UTF-8 text"):
        encode_key(key)


@pytest.mark.parametrize("key", [5, b"a", None])
def test_a_key_of_another_type_is_refused(key: Any) -> None:
    with pytest.raises(InvalidKey, match=f"A key is a str, not {type(key).__name__}"):
        encode_key(key)


@given(TOKENS, NAMESPACES, KEYS)
def test_a_storage_key_gives_back_its_namespace_and_key(
    token: bytes, namespace: str, key: str
) -> None:
    data = storage_key(token, namespace, encode_key(key))
    assert split_storage_key(data) == (namespace, key)


@given(st.tuples(NAMESPACES, KEYS), st.tuples(NAMESPACES, KEYS), TOKENS)
def test_storage_keys_of_different_keys_differ(
    a: tuple[str, str], b: tuple[str, str], token: bytes
) -> None:
    first, second = (storage_key(token, name, encode_key(key)) for name, key in (a, b))
    assert (first == second) == (a == b)


@given(TOKENS, PARTITION_BITS)
def test_the_partition_is_the_tokens_top_bits(token: bytes, bits: int) -> None:
    written_out = "".join(f"{byte:08b}" for byte in token)
    assert partition_of(token, bits) == int("0" + written_out[:bits], 2)


@given(TOKENS, NAMESPACES, KEYS, PARTITION_BITS)
def test_a_partition_is_one_range_of_storage_keys(
    token: bytes, namespace: str, key: str, bits: int
) -> None:
    data = storage_key(token, namespace, encode_key(key))
    partition = partition_of(token, bits)
    start, end = partition_range(partition, bits)
    assert start <= data < end


@pytest.mark.parametrize("bits", [0, 1, 3, 8])
def test_partition_ranges_tile_all_records(bits: int) -> None:
    ranges = [partition_range(partition, bits) for partition in range(1 << bits)]
    assert ranges[0][0] == b"d" + bytes(8)
    assert ranges[-1][1] == b"e"
    for (_, end), (start, _) in pairwise(ranges):
        assert end == start


@pytest.mark.parametrize("name", sorted(TOKEN_HASHES))
def test_token_hashes_give_whole_tokens(name: str) -> None:
    assert len(TOKEN_HASHES[name](b"key", 0)) * 8 == TOKEN_BITS


def test_token_hashes_are_the_published_ones() -> None:
    # A change of either would lose every stored key.
    md5 = hashlib.new("md5", b"The quick brown fox", usedforsecurity=False)
    assert TOKEN_HASHES["md5"](b"The quick brown fox", 0) == md5.digest()
    # MurmurHash3_x64_128, seed 0 and 1: h1 then h2, each little-endian.
    fox = b"The quick brown fox jumps over the lazy dog"
    assert TOKEN_HASHES["murmur3"](fox, 0).hex() == _le("e34bbc7bbc071b6c", "7a433ca9c49a9347")
    assert TOKEN_HASHES["murmur3"](fox, 1) != TOKEN_HASHES["murmur3"](fox, 0)


def _le(h1: str, h2: str) -> str:
    return bytes.fromhex(h1)[::-1].hex() + bytes.fromhex(h2)[::-1].hex()


@pytest.mark.parametrize("name", ["default", "a", "0", "a.b-c_d", "x" * 64])
def test_namespace_names(name: str) -> None:
    assert is_namespace_name(name)


@pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a b", "a\0", "a\n", "é", "x" * 65])
def test_what_is_no_namespace_name(name: str) -> None:
    assert not is_namespace_name(name)
