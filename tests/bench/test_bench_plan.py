from __future__ import annotations

import pytest
from bench_plans import make_plan
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ConfigError


@given(st.integers(1, 8), st.integers(8, 100), st.integers(0, 1000))
def test_shares_add_up_and_are_even(processes: int, connections: int, operations: int) -> None:
    plan = make_plan(processes=processes, connections=connections, operations=operations)
    shares = [plan.share(index) for index in range(processes)]
    of_connections = [share.connections for share in shares]
    of_operations = [share.operations or 0 for share in shares]
    assert sum(of_connections) == connections
    assert sum(of_operations) == operations
    assert max(of_connections) - min(of_connections) <= 1
    assert max(of_operations) - min(of_operations) <= 1


def test_without_a_number_of_operations_no_share_has_one() -> None:
    assert make_plan(operations=None, processes=2).share(1).operations is None


def test_processes_and_phases_draw_from_different_sequences() -> None:
    plan = make_plan(processes=2)
    first = {plan.rng(phase, i).random() for phase in ("load", "run") for i in range(2)}
    assert len(first) == 4
    assert plan.rng("run", 0).random() in first


def test_a_process_without_a_connection_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 processes"):
        make_plan(connections=2, processes=3)
