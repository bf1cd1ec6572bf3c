"""Which columns stand side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.cli.table_folding import column_widths, folded, total_width


@pytest.mark.parametrize(
    ("widths", "room", "tables"),
    [
        ([], 80, []),
        ([99], 80, [[0]]),
        ([10, 10, 10], 34, [[0, 1, 2]]),
        ([10, 10, 10], 33, [[0, 1], [0, 2]]),
        ([10, 99, 10, 10], 34, [[0, 1], [0, 2, 3]]),
        ([10, 10, 99], 34, [[0, 1], [0, 2]]),
    ],
)
def test_what_does_not_fit_goes_below_behind_the_first(
    widths: list[int], room: int, tables: list[list[int]]
) -> None:
    assert folded(widths, room) == tables


@given(st.lists(st.integers(0, 50), min_size=2), st.integers(0, 200))
def test_every_column_is_there_once_and_fits_if_it_can(widths: list[int], room: int) -> None:
    tables = folded(widths, room)
    assert [column for table in tables for column in table[1:]] == list(range(1, len(widths)))
    for table in tables:
        assert table[0] == 0
        assert len(table) == 2 or total_width([widths[column] for column in table]) <= room


def test_a_wide_letter_takes_two_places() -> None:
    assert column_widths([["a", "bc"], ["\u4e2d\u6587", ""]]) == [4, 2]
