from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.placement_rule import PlacementRule


@given(st.integers(1, 9999))
def test_a_rule_is_what_its_id_says(copies: int) -> None:
    rule = PlacementRule(copies)
    assert PlacementRule.parse(rule.id) == rule


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_other_rules_have_other_ids(one: int, other: int) -> None:
    assert (PlacementRule(one).id == PlacementRule(other).id) == (one == other)


@given(st.one_of(st.text(), st.text("0123456789+-_ ٣²", max_size=6), st.integers().map(str)))
def test_nothing_but_an_id_is_a_rule(text: str) -> None:
    rule = PlacementRule.parse(text)
    ids = {str(copies) for copies in range(1, 10_000)}
    assert (rule is not None) == (text in ids)
    assert rule is None or rule.id == text


@pytest.mark.parametrize("text", ["", "0", "03", "+3", "-3", " 3", "3 ", "3\n", "٣", "²", "10000"])
def test_what_is_almost_a_number_is_no_rule(text: str) -> None:
    assert PlacementRule.parse(text) is None
