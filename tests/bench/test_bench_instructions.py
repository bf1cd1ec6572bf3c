"""What the counting of instructions runs: gets and puts that are answered."""

from __future__ import annotations

import pytest
from instructions_work import CONNECTIONS, World, request


@pytest.mark.parametrize("kind", ["get", "put"])
def test_all_connections_are_answered(kind: str) -> None:
    world = World()
    world.ask("put", 640)
    world.ask(kind, 3 * CONNECTIONS)


def test_no_two_puts_are_the_same() -> None:
    assert len({request("put", stamp) for stamp in range(2000)}) == 2000
