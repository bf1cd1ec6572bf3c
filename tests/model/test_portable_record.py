"""Records between clusters: bound to their key, whatever the tokens."""

from __future__ import annotations

import pytest

from kvorum.model.errors import InvalidKey, InvalidValue
from kvorum.model.portable_record import from_portable, to_portable
from kvorum.model.record import EMPTY, JSON, Event, Record, Version, delete, write

RECORD = write(EMPTY, (), Event(1, 1, 5), JSON, b'"x"', 99)


@pytest.mark.parametrize("record", [EMPTY, RECORD, delete(RECORD, RECORD.context, Event(1, 2, 6))])
def test_it_comes_back(record: object) -> None:
    assert from_portable("ä", to_portable("ä", record)) == record  # type: ignore[arg-type]


def test_under_another_key_it_is_refused() -> None:
    with pytest.raises(InvalidValue, match="another key"):
        from_portable("b", to_portable("a", RECORD))


def test_a_flipped_bit_is_found() -> None:
    data = bytearray(to_portable("a", RECORD))
    for place in range(len(data)):
        data[place] ^= 1
        with pytest.raises(InvalidValue, match="damaged"):
            from_portable("a", bytes(data))
        data[place] ^= 1


@pytest.mark.parametrize("data", [b"", b"1234567", b"12345678"])
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(InvalidValue):
        from_portable("a", data)


def test_keys_are_checked() -> None:
    with pytest.raises(InvalidKey):
        from_portable("", b"")


ONE, TWO = Event(1, 1, 5), Event(2, 1, 5)


@pytest.mark.parametrize(
    "record",
    [
        Record((), (Version(ONE, JSON, b"1"),)),
        Record((ONE,), (Version(Event(1, 2, 5), JSON, b"1"),)),
        Record((TWO, ONE), ()),
        Record((ONE, Event(1, 2, 5)), ()),
        Record((Event(1, 0, 5),), ()),
        Record((Event(1, -1, 5),), ()),
        Record((ONE,), (Version(ONE, JSON, b"1"), Version(ONE, JSON, b"2"))),
        Record((ONE, TWO), (Version(TWO, JSON, b"1"), Version(ONE, JSON, b"2"))),
        Record((ONE,), (Version(ONE, 7, b"1"),)),
    ],
)
def test_what_no_writes_could_have_made_is_refused(record: Record) -> None:
    with pytest.raises(InvalidValue, match="context"):
        from_portable("a", to_portable("a", record))
