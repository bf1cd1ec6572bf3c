"""Whether a node should be sent requests, and what speaks against it."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.errors import StorageError
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.readiness import HealthChecks


class Checked:
    """Node 0 of three, and which others it has links with."""

    def __init__(self) -> None:
        self.stage = Stage(3, NamespaceSettings(replicas=3, read=2, write=2))
        self.linked = {1, 2}
        self.failure: StorageError | None = None
        replicator = self.stage.nodes[0]
        assert replicator is not None
        self.replicator = replicator
        self.checks = HealthChecks(
            self.stage.views[0], replicator, self.linked.__contains__, lambda: self.failure
        )

    @property
    def reasons(self) -> list[str]:
        readiness = self.checks.readiness()
        assert readiness.ready == (not readiness.reasons)
        return readiness.reasons


@pytest.fixture
def checked() -> Checked:
    return Checked()


def test_a_node_is_ready_while_a_quorum_of_each_partition_is_in_reach(checked: Checked) -> None:
    assert checked.reasons == []
    checked.linked.discard(1)
    assert checked.reasons == []
    checked.linked.discard(2)
    partitions = checked.stage.views[0].topology.partitions
    [reason] = checked.reasons
    assert reason == (
        "Too few nodes are reachable for a quorum of namespace 'default': "
        f"{partitions} of {partitions} partitions have fewer than 2 owners."
    )


def test_a_suspect_is_not_in_reach(checked: Checked) -> None:
    checked.replicator.suspects.update({1, 2})
    assert len(checked.reasons) == 1


def test_a_node_that_stops_says_so(checked: Checked) -> None:
    checked.checks.stopping = True
    assert checked.reasons == ["The node stops."]
    assert checked.checks.health().healthy


def test_a_full_disk_and_a_store_that_failed_are_named(checked: Checked) -> None:
    checked.stage.disks[0].full = True
    assert checked.reasons == ["The disk is full: the node takes no new data."]
    checked.stage.disks[0].full = False
    checked.failure = StorageError("The disk is gone.")
    assert checked.reasons == ["The disk is gone."]
    assert checked.checks.health().reasons == ["The disk is gone."]
    assert not checked.checks.health().healthy
