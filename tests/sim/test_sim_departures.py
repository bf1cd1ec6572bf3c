"""Planned stops under a simulated load: no write's outcome becomes unknown by them."""

from __future__ import annotations

import pytest

from kvorum.replication import departure, replicator
from kvorum.sim.parameters import LEAVE, Mix, Parameters
from kvorum.sim.run import Report, simulate


def stopped(seed: int, nodes: int = 4) -> Report:
    return simulate(
        Parameters(
            seed=seed,
            nodes=nodes,
            replicas=3,
            read=2,
            write=2,
            operations=150,
            clients=6,
            mix=Mix(delete=0.5, conditional=0.2),
            sync_s_mean=(0.002,) * nodes,
            fault_rates={LEAVE: 30.0},
            recovery_s_mean=0.05,
            down_max=1,
        )
    )


@pytest.mark.parametrize("nodes", [3, 5])
def test_no_outcome_is_unknown_and_nothing_is_lost(nodes: int) -> None:
    stops = 0
    for seed in range(12):
        report = stopped(seed, nodes)
        assert report.violations == [], f"seed {seed}"
        assert report.unknown == 0, f"seed {seed}"
        stops += report.faults[LEAVE]
    assert stops > 20


def test_it_is_the_departure_that_sees_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that stops as soon as it is asked to leaves writes behind whose outcome is unknown."""
    monkeypatch.setattr(departure.Departure, "is_complete", True)
    monkeypatch.setattr(replicator.Replicator, "leave", lambda self: None)
    monkeypatch.setattr(replicator.Replicator, "left", True)
    assert sum(stopped(seed).unknown for seed in range(12)) > 0
