"""Sealed strings: they open for whom they were made, unchanged, and for nobody else."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import InvalidVersion
from kvorum.model.record import Event
from kvorum.service.seal import Forged, Seal
from kvorum.service.version_string import VersionStrings, subject_of

SECRET = b"a secret of the whole cluster"
ALPHABET = string.ascii_letters + string.digits + "-_"

events = st.builds(
    Event,
    actor=st.integers(0, 2**64 - 1),
    counter=st.integers(1, 2**63),
    timestamp=st.integers(0, 2**48),
)
contexts = st.lists(events, max_size=5, unique_by=lambda e: e.actor).map(
    lambda found: tuple(sorted(found))
)
keys = st.text(min_size=1, max_size=20)
subjects = st.builds(subject_of, st.sampled_from(["default", "a", "b.c"]), keys)


@given(subject=subjects, context=contexts)
def test_a_version_string_opens_to_what_it_was_made_of(
    subject: bytes, context: tuple[Event, ...]
) -> None:
    text = VersionStrings(SECRET).write(subject, context)
    assert set(text) <= set(ALPHABET)
    again = VersionStrings(SECRET)
    assert again.read(subject, text) == context
    assert again.write(subject, context) == text


@given(subject=subjects, context=contexts, data=st.data())
def test_any_other_bit_is_refused(
    subject: bytes, context: tuple[Event, ...], data: st.DataObject
) -> None:
    """Also the bits of the last character that no byte takes."""
    versions = VersionStrings(SECRET)
    text = versions.write(subject, context)
    at = data.draw(st.integers(0, len(text) - 1) | st.just(len(text) - 1))
    bit = data.draw(st.integers(0, 5))
    changed = ALPHABET_IN_ORDER[ALPHABET_IN_ORDER.index(text[at]) ^ (1 << bit)]
    with pytest.raises(InvalidVersion):
        versions.read(subject, text[:at] + changed + text[at + 1 :])


ALPHABET_IN_ORDER = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@given(context=contexts, data=st.data())
def test_shorter_or_longer_is_refused(context: tuple[Event, ...], data: st.DataObject) -> None:
    versions = VersionStrings(SECRET)
    text = versions.write(b"n\0k\0", context)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    more = text + data.draw(st.text(ALPHABET + "=+/ \n\0é", min_size=1, max_size=4))
    for other in (cut, more):
        with pytest.raises(InvalidVersion):
            versions.read(b"n\0k\0", other)


@given(text=st.text() | st.text(ALPHABET, min_size=15))
def test_no_text_is_a_version_by_chance(text: str) -> None:
    with pytest.raises(InvalidVersion):
        VersionStrings(SECRET).read(b"n\0k\0", text)


@given(context=contexts, one=subjects, other=subjects)
def test_a_version_string_is_bound_to_its_subject(
    context: tuple[Event, ...], one: bytes, other: bytes
) -> None:
    versions = VersionStrings(SECRET)
    text = versions.write(one, context)
    if one == other:
        assert versions.read(other, text) == context
    else:
        with pytest.raises(InvalidVersion):
            versions.read(other, text)


@given(
    one=st.tuples(st.sampled_from(["a", "b"]), keys),
    other=st.tuples(st.sampled_from(["a", "b"]), keys),
)
def test_subjects_are_equal_only_for_the_same_namespace_and_key(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (subject_of(*one) == subject_of(*other)) == (one == other)


def test_where_subject_ends_and_payload_begins_cannot_be_shifted() -> None:
    seal = Seal(SECRET, 1)
    text = seal.seal(b"n\0k\0", b"xyz")
    other = seal.seal(b"n\0k\0x", b"yz")
    assert text[:15] != other[:15]


def test_another_secret_or_purpose_does_not_open() -> None:
    text = Seal(SECRET, 1).seal(b"s", b"payload")
    assert Seal(SECRET, 1).open(b"s", text) == b"payload"
    for other in (Seal(SECRET + b"!", 1), Seal(SECRET, 2)):
        with pytest.raises(Forged):
            other.open(b"s", text)


def test_a_long_secret_is_as_good() -> None:
    assert Seal(b"x" * 1000, 1).open(b"s", Seal(b"x" * 1000, 1).seal(b"s", b"p")) == b"p"
