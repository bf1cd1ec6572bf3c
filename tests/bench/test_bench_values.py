from __future__ import annotations

import json
from random import Random

import pytest

from kvorum.bench.values import Values


@pytest.mark.parametrize("size", [1, 15, 16, 17, 100, 100_000])
def test_values_have_the_size_and_need_no_escape(size: int) -> None:
    value = Values(Random(1), size).draw()
    assert len(value.encode()) == size
    assert json.dumps(value) == f'"{value}"'


def test_no_two_are_alike() -> None:
    values = Values(Random(1), 100)
    assert len({values.draw() for _ in range(1000)}) == 1000


def test_the_seed_decides_the_values() -> None:
    assert Values(Random(1), 100).draw() == Values(Random(1), 100).draw()
    assert Values(Random(1), 100).draw() != Values(Random(2), 100).draw()
