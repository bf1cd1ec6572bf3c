"""The demo's data."""

from __future__ import annotations

import json

from kvorum.demo.characters import first_edition, named_characters, second_edition
from kvorum.model.keys import encode_key

NAMED = list(named_characters())


def test_there_are_tens_of_thousands_and_no_two_share_a_key() -> None:
    assert len(NAMED) > 30_000
    first, second = first_edition(NAMED), second_edition(NAMED)
    assert len(first) == 2 * len(NAMED)
    assert len(first.keys() | second.keys()) == 3 * len(NAMED)


def test_a_character_is_found_by_its_code_point_its_name_and_itself() -> None:
    named = [("😀", "GRINNING FACE")]
    first, second = first_edition(named), second_edition(named)
    stored = json.loads(first["U+1F600"])
    assert stored["char"] == "😀"
    assert stored["name"] == "GRINNING FACE"
    assert stored["category"] == "So"
    assert json.loads(first["GRINNING FACE"]) == "U+1F600"
    assert json.loads(second["😀"]) == ["U+1F600", "GRINNING FACE"]
    assert json.loads(second["U+1F600"]) == {**stored, "utf8": "f0 9f 98 80"}


def test_only_numbers_have_a_numeric_value() -> None:
    first = first_edition([("½", "VULGAR FRACTION ONE HALF"), ("a", "LATIN SMALL LETTER A")])
    assert json.loads(first["U+00BD"])["numeric"] == 0.5
    assert "numeric" not in json.loads(first["U+0061"])


def test_keys_and_values_go_beyond_ascii_and_are_valid() -> None:
    second = second_edition(NAMED)
    assert any(not key.isascii() for key in second)
    assert any(not value.isascii() for value in second.values())
    for key in second:
        encode_key(key)


def test_every_object_changes_from_edition_to_edition() -> None:
    first, second = first_edition(NAMED), second_edition(NAMED)
    assert all(first[key] != second[key] for key in first.keys() & second.keys())
