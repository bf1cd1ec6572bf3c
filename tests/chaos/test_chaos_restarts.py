"""Planned restarts of real processes under load: nobody meets an error."""

from __future__ import annotations

import asyncio

import pytest
from rolling_restart import Tally, restart

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("nodes", [3, 5])
def test_no_request_fails_or_ends_unknown_while_all_nodes_are_restarted(nodes: int) -> None:
    tally: Tally = asyncio.run(restart(nodes, clients=16, rounds=1))
    assert tally.answered > 1000
    assert not tally.failed
    assert not tally.unknown
