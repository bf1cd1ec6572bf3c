from __future__ import annotations

import multiprocessing
import socket

import pytest
from bench_plans import plan_for
from kit.http_store import StoreDouble

from kvorum.bench import processes
from kvorum.model.errors import ConnectionFailed, KvorumError


@pytest.mark.parametrize("count", [1, 2])
def test_the_shares_of_all_processes_are_one_run(store: StoreDouble, count: int) -> None:
    told: list[int] = []
    plan = plan_for(store.port, workload="put", processes=count, operations=101)
    measured = processes.run(plan, told.append)
    assert measured.success_count == 101
    assert told[-1] == 101
    assert len({seen.connection for seen in store.requests}) == plan.connections
    assert not multiprocessing.active_children()


def test_the_error_of_one_process_is_the_error_of_the_run() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        plan = plan_for(taken.getsockname()[1], processes=2)
        with pytest.raises(ConnectionFailed, match="refused"):
            processes.run(plan, lambda _: None)
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_no_result(store: StoreDouble) -> None:
    plan = plan_for(store.port, workload="put", processes=2, operations=None)
    with pytest.raises(KvorumError, match="ended before"):
        processes.run(plan, lambda _: multiprocessing.active_children()[0].kill())
    assert not multiprocessing.active_children()
