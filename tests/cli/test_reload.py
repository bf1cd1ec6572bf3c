"""SIGHUP to a process of `kvorum serve --cluster`: its namespaces follow the file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kit.program import Program, kvorum
from kit.running_cluster import command
from kit.waiting import eventually

from kvorum import connect
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.errors import NamespaceNotFound
from kvorum.model.topology import NamespaceSettings, Topology
from kvorum.model.topology_toml import dump_topology


def settings(**changes: Any) -> NamespaceSettings:
    return NamespaceSettings(replicas=1, read=1, write=1, **changes)


class Member:
    """A node of a cluster file, and the process that it is."""

    def __init__(self, directory: Path) -> None:
        self.topology = local_topology(1, free_port(1))
        self.file = directory / "cluster.toml"
        self._data = directory / "n1"
        self.process: Program

    @contextmanager
    def running(self) -> Iterator[None]:
        words = ("--cluster", self.file, "--node", "n1", "--data-dir", self._data)
        with kvorum("serve", *words) as self.process:
            assert "ready" in self.process.line()
            yield
            assert self.process.stopped() == 0, self.process.errors

    def declare(self, **namespaces: NamespaceSettings) -> None:
        self.write(msgspec.structs.replace(self.topology, namespaces=namespaces))

    def write(self, topology: Topology) -> None:
        self.file.write_text(dump_topology(topology))

    def reload(self) -> str:
        """What the log says of it."""
        before = len(self.process.errors)
        self.process.send(signal.SIGHUP)
        eventually(lambda: len(self.process.errors) > before, "a line of the log")
        return "\n".join(self.process.errors[before:])

    def store(self, namespace: str) -> Any:
        return connect(f"kvorum://{self.topology.nodes[0].http}?namespace={namespace}")


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member(tmp_path)


def test_namespaces_are_made_altered_and_dropped_by_comparison(member: Member) -> None:
    member.declare(kept=settings(), gone=settings())
    with member.running():
        with member.store("gone") as store:
            store.set("k", "old")
        member.declare(kept=settings(ttl=60), made=settings())
        member.reload()
        eventually(lambda: len(member.process.errors) >= 3, "three lines of the log")
        said = "\n".join(member.process.errors)
        assert "namespace made was made" in said
        assert "namespace kept was altered: ttl 0 -> 60" in said
        assert "namespace gone was dropped" in said
        with member.store("made") as store:
            store.set("k", 1)
        with member.store("kept") as store:
            assert store.set("k", 1).expires_at is not None
        with member.store("gone") as store, pytest.raises(NamespaceNotFound):
            store.get("k")
        member.declare(kept=settings(ttl=60), made=settings(), gone=settings())
        assert "namespace gone was made" in member.reload()
        with member.store("gone") as store:
            assert store.get("k") is None
    with member.running(), member.store("made") as store:
        assert store.get("k") == 1


def test_a_file_that_has_not_changed_says_so_and_the_node_goes_on(member: Member) -> None:
    member.declare()
    with member.running():
        assert "nothing in it has changed" in member.reload()
        with member.store("default") as store:
            store.set("k", 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("partitions", 512), ("cluster", "other"), ("token_seed", 7), ("epoch", 2)],
)
def test_what_a_running_node_cannot_change_changes_nothing(
    member: Member, field: str, value: Any
) -> None:
    member.declare()
    with member.running():
        changed = msgspec.structs.replace(
            member.topology, **{field: value}, namespaces={"made": settings()}
        )
        member.write(changed)
        said = member.reload()
        assert f"'{field}' has changed" in said
        assert "nothing was changed" in said
        assert str(member.file) in said
        assert said.count("\n") == 0
        with member.store("made") as store, pytest.raises(NamespaceNotFound):
            store.get("k")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster = [", "Invalid TOML"),
        ("", "The field 'cluster' is missing"),
        (None, "No such file"),
    ],
)
def test_a_broken_file_changes_nothing(member: Member, text: str | None, said: str) -> None:
    member.declare()
    with member.running():
        if text is None:
            member.file.unlink()
        else:
            member.file.write_text(text)
        line = member.reload()
        assert said in line
        assert "nothing was changed" in line
        assert line.count("\n") == 0
        with member.store("default") as store:
            store.set("k", 1)
        member.declare()


def test_a_namespace_that_cannot_be_so_changes_nothing(member: Member) -> None:
    member.declare(sealed=settings())
    with member.running():
        member.declare(sealed=settings(encryption="off"), made=settings())
        assert "'encryption' of namespace 'sealed'" in member.reload()
        member.declare(
            sealed=settings(),
            made=settings(),
            kept=settings(durability="none", max_memory=1 << 38),
        )
        assert "memory" in member.reload()
        with member.store("made") as store, pytest.raises(NamespaceNotFound):
            store.get("k")


def test_requests_cannot_change_what_a_file_declares(member: Member) -> None:
    member.declare()
    with member.running():
        server = member.topology.nodes[0].http
        for words in ("create x", "alter default --ttl 1", "drop default --yes"):
            result = command("namespace", *words.split(), "--server", server)
            assert result.exit_code != 0
            assert str(member.file) in result.stderr
            assert "SIGHUP" in result.stderr
