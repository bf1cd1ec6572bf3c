"""The jobs of a node: one at a time, watched by name, cut short when the node stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.backed_up import BackedUp

from kvorum.backup.snapshots import Snapshots
from kvorum.documents.snapshot import SnapshotJob
from kvorum.model.errors import NotFound, Overloaded, PreconditionFailed, RequestError

DEADLINE_S = 20.0
NOW_MS = 1_700_000_000_000


@pytest.fixture
def snapshots(node: BackedUp) -> Iterator[Snapshots]:
    snapshots = Snapshots(node.node, lambda: NOW_MS)
    yield snapshots
    snapshots.close()


def ended(snapshots: Snapshots, name: str) -> SnapshotJob:
    return until(lambda: snapshots.progress(name), lambda state: state.ended)


def until(look: Callable[[], SnapshotJob], good: Callable[[SnapshotJob], bool]) -> SnapshotJob:
    deadline = time.monotonic() + DEADLINE_S
    while not good(state := look()):
        assert time.monotonic() < deadline, state
        time.sleep(0.005)
    return state


def test_made_verified_listed_and_deleted(snapshots: Snapshots) -> None:
    begun = snapshots.begin_create("monday")
    assert (begun.name, begun.task) == ("monday", "create")
    made = ended(snapshots, "monday")
    assert made.error is None
    assert made.snapshot is not None
    assert made.bytes_done == made.bytes_total > 0
    assert [one.name for one in snapshots.list().snapshots] == ["monday"]

    snapshots.begin_verify("monday")
    verified = ended(snapshots, "monday")
    assert verified.task == "verify"
    assert verified.error is None
    assert verified.snapshot == made.snapshot

    snapshots.begin_delete("monday")
    assert ended(snapshots, "monday").error is None
    assert snapshots.list().snapshots == []


def test_without_a_name_it_is_the_time(snapshots: Snapshots) -> None:
    assert snapshots.begin_create(None).name == "20231114T221320Z"


def test_damage_is_the_jobs_outcome(node: BackedUp, snapshots: Snapshots) -> None:
    node.create("monday")
    (node.snapshot("monday") / "rocks" / "CURRENT").write_bytes(b"")
    snapshots.begin_verify("monday")
    state = ended(snapshots, "monday")
    assert state.error is not None
    assert "CURRENT" in state.error.message
    # Clients are told that, and it is none of their business where the data is.
    assert str(node.node.data_dir) not in state.error.message


def test_names_are_checked_before_anything_begins(node: BackedUp, snapshots: Snapshots) -> None:
    node.create("monday")
    with pytest.raises(PreconditionFailed) as taken:
        snapshots.begin_create("monday")
    assert str(node.node.data_dir) not in taken.value.message
    with pytest.raises(RequestError):
        snapshots.begin_create("../monday")
    for begin in (snapshots.begin_verify, snapshots.begin_delete):
        with pytest.raises(NotFound, match=r"No such snapshot: 'tuesday'.*monday") as unknown:
            begin("tuesday")
        assert str(node.node.data_dir) not in unknown.value.message
        with pytest.raises(RequestError):
            begin("..")
    with pytest.raises(NotFound):
        snapshots.progress("monday")


def test_one_at_a_time_and_cut_short_by_the_nodes_end(node: BackedUp) -> None:
    let_go = threading.Event()

    def checkpoint(path: Path) -> None:
        let_go.wait(DEADLINE_S)
        node.checkpoint(path)

    snapshots = Snapshots(node.node._replace(checkpoint=checkpoint), lambda: NOW_MS)
    snapshots.begin_create("monday")
    with pytest.raises(Overloaded, match="monday"):
        snapshots.begin_create("tuesday")
    closing = threading.Thread(target=snapshots.close)
    closing.start()
    let_go.set()
    closing.join(DEADLINE_S)
    state = snapshots.progress("monday")
    assert state.error is not None
    assert "stops" in state.error.message
    assert snapshots.list().snapshots == []
