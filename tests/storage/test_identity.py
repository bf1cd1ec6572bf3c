"""Who a node is from life to life, and the bytes of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.actor import INCARNATION_MAX
from kvorum.model.errors import ConfigError
from kvorum.storage.identity import (
    NAME_LENGTH_MAX,
    NAMES_MAX,
    Facts,
    Identity,
    decode,
    encode,
    first_life,
)

FACTS = Facts("c", "n1", 256, "murmur3", 0)
NODE_ID = "0123456789abcdef0123456789abcdef"

NODE_IDS = st.integers(0, (1 << 128) - 1).map(lambda number: f"{number:032x}")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDENTITIES = st.builds(
    Identity,
    facts=st.builds(
        Facts,
        cluster=TEXTS,
        node=TEXTS,
        partitions=st.integers(1, 4096),
        token_hash=TEXTS,
        token_seed=st.integers(0, (1 << 32) - 1),
    ),
    node_id=NODE_IDS,
    incarnation=st.integers(1, INCARNATION_MAX),
    counter=st.integers(0, (1 << 63) - 1),
    clean=st.booleans(),
    names=st.dictionaries(NODE_IDS, TEXTS, max_size=5),
)


def life(*, incarnation: int = 1, counter: int = 0, clean: bool = False) -> Identity:
    return Identity(FACTS, NODE_ID, incarnation, counter, clean, {})


def test_a_first_life_is_unlike_all_others_and_unclean() -> None:
    one, other = first_life(FACTS), first_life(FACTS)
    assert one.node_id != other.node_id
    assert (one.incarnation, one.counter, one.clean) == (1, 0, False)


def test_the_actor_is_the_top_of_the_node_id_and_the_incarnation() -> None:
    assert life(incarnation=5).actor == 0x0123456789A << 20 | 5
    assert life(incarnation=INCARNATION_MAX).actor.bit_length() <= 64


def test_after_a_clean_stop_the_actor_goes_on() -> None:
    last = life(incarnation=3, counter=7).stopped_at(50, 9)
    assert last.clean
    following = last.next_life()
    assert (following.actor, following.counter, following.clean) == (last.actor, 50, False)
    assert following.newest == following.next_life().newest == 9
    assert following.without_memory().newest == 0


def test_after_an_unclean_stop_a_new_actor_begins() -> None:
    following = life(incarnation=3, counter=7).next_life()
    assert (following.incarnation, following.counter, following.clean) == (4, 0, False)
    assert following.node_id == NODE_ID


@given(st.lists(st.integers(0, 3)))
def test_no_actor_ever_uses_a_counter_twice(story: list[int]) -> None:
    """Each number is a life that made so many writes; 3 is a life that crashed after two."""
    used: set[tuple[int, int]] = set()
    identity = first_life(FACTS)
    for writes in story:
        counter = identity.counter
        for _ in range(min(writes, 2)):
            counter += 1
            assert (identity.actor, counter) not in used
            used.add((identity.actor, counter))
        identity = (identity if writes == 3 else identity.stopped_at(counter, 0)).next_life()


def test_incarnations_end() -> None:
    with pytest.raises(ConfigError, match=r"used up .* Start it on an empty data directory"):
        life(incarnation=INCARNATION_MAX).next_life()
    assert life(incarnation=INCARNATION_MAX, clean=True).next_life().incarnation == INCARNATION_MAX


def test_a_counter_never_goes_back() -> None:
    with pytest.raises(ValueError, match="counter 6 is before 7"):
        life(counter=7).stopped_at(6, 0)


@pytest.mark.parametrize("field", Facts.__struct_fields__)
def test_each_fact_is_fixed(field: str) -> None:
    stored = life()
    stored.check_facts(FACTS)
    other: str | int = "other" if isinstance(getattr(FACTS, field), str) else 999
    with pytest.raises(ConfigError) as raised:
        stored.check_facts(msgspec.structs.replace(FACTS, **{field: other}))
    details = raised.value.details
    assert details == {"field": field, "wanted": other, "got": getattr(FACTS, field)}
    for part in (field, repr(other), repr(getattr(FACTS, field))):
        assert part in str(raised.value)
    advice = "kvorum up" if field in ("cluster", "node") else f"Set {field} back"
    assert advice in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_full_address_book_loses_its_oldest_entry() -> None:
    identity = life()
    for number in range(NAMES_MAX + 1):
        identity = identity.knowing(f"{number:032x}", f"n{number}")
    assert len(identity.names) == NAMES_MAX
    assert f"{0:032x}" not in identity.names
    assert identity.names[f"{NAMES_MAX:032x}"] == f"n{NAMES_MAX}"


@pytest.mark.parametrize(
    ("node_id", "name"),
    [
        ("", "n"),
        (NODE_ID + "\n", "n"),
        (NODE_ID.upper(), "n"),
        (NODE_ID, ""),
        (NODE_ID, "n" * (NAME_LENGTH_MAX + 1)),
    ],
)
def test_an_address_book_takes_only_what_it_could_read_again(node_id: str, name: str) -> None:
    with pytest.raises(ValueError, match="is not 32 hex digits, or the name"):
        life().knowing(node_id, name)


@given(IDENTITIES)
def test_bytes_come_back_as_they_were(identity: Identity) -> None:
    assert decode(encode(identity)) == identity


@given(IDENTITIES, st.data())
def test_a_changed_byte_is_noticed(identity: Identity, data: st.DataObject) -> None:
    whole = encode(identity)
    position = data.draw(st.integers(0, len(whole) - 2))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ConfigError):
        decode(bytes(changed))


@given(IDENTITIES, st.data())
def test_a_cut_file_is_noticed(identity: Identity, data: st.DataObject) -> None:
    whole = encode(identity)
    with pytest.raises(ConfigError, match="damaged"):
        decode(whole[: data.draw(st.integers(0, len(whole) - 2))])


@pytest.mark.parametrize("number", [1, 3, 5])
def test_another_format_is_refused(number: int) -> None:
    other = encode(life()).replace(b'"format":4', b'"format":%d' % number)
    with pytest.raises(ConfigError, match=f"format {number}; this kvorum uses format 4 only"):
        decode(other)
