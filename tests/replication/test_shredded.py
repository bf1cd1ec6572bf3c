"""A namespace is shredded on one node after another: what is acknowledged meanwhile is kept."""

from __future__ import annotations

from typing import Any, Final

from kit.stage import Stage

from kvorum.model.keys import TOKEN_HASHES, encode_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import JSON, decode
from kvorum.model.request import Answer, Delete, Failure, Get, Put
from kvorum.model.topology import NamespaceSettings

KEY: Final = "k"
AHEAD_MS: Final = 60_000
SETTINGS: Final = NamespaceSettings(replicas=3, read=2, write=2)


MOMENT_MS: Final = 1_700_000_000_000 + AHEAD_MS
"""To come, by the clock of a stage that has just been set up."""


def shredded(stage: Stage, nodes: list[int]) -> None:
    """On `nodes`, as of the moment; and all there was is gone."""
    for node in nodes:
        stage.shredded[node][b"default"] = MOMENT_MS
        disk = stage.disks[node]
        for key in [key for key in disk.durable if key[:1] == b"d"]:
            disk.delete(key, lambda *_: None, None)
        replicator = stage.nodes[node]
        assert replicator is not None
        replicator.recount()
    stage.settle()


def put(value: str, **wishes: Any) -> Put:
    return Put("default", KEY, JSON, f'"{value}"'.encode(), **wishes)


def ask(stage: Stage, node: int, request: Any) -> Any:
    answers = stage.ask(node, request)
    stage.settle()
    stage.wait(0 if answers else 10)
    return answers[0]


def held(stage: Stage, node: int) -> list[bytes]:
    """The values on the disk of `node`."""
    return [
        version.value
        for key, data in stage.disks[node].durable.items()
        if key[:1] == b"d"
        for version in decode(key, data).versions
    ]


def test_writes_through_every_node_that_has_shredded_are_kept_though_its_clock_is_behind() -> None:
    stage = Stage(3, SETTINGS)
    assert isinstance(ask(stage, 0, put("before")), Answer)
    shredded(stage, [0, 1, 2])
    stage.clocks[1].ahead_ms = -3_600_000
    for node in range(3):
        assert isinstance(ask(stage, node, put(f"after {node}")), Answer)
        for reader in range(3):
            answer = ask(stage, reader, Get("default", KEY))
            assert [v.value for v in answer.record.versions] == [f'"after {node}"'.encode()]
    assert isinstance(ask(stage, 1, Delete("default", KEY)), Answer)
    assert ask(stage, 2, Get("default", KEY)).record.versions == ()


def test_a_write_that_the_others_would_not_keep_is_not_acknowledged() -> None:
    """Two nodes have shredded, and the one that coordinates has not been told yet."""
    stage = Stage(3, SETTINGS)
    first = first_owner(stage)
    others = [node for node in range(3) if node != first]
    shredded(stage, others)
    assert isinstance(ask(stage, first, put("too early")), Failure)
    assert [held(stage, node) for node in others] == [[], []]
    stage.wait(AHEAD_MS / 1000 + 1)
    assert isinstance(ask(stage, first, put("later")), Answer)
    assert all(b'"later"' in held(stage, node) for node in range(3))


def test_what_one_node_still_holds_goes_to_no_other_and_is_in_nothing_that_they_write() -> None:
    stage = Stage(3, SETTINGS)
    first = first_owner(stage)
    others = [node for node in range(3) if node != first]
    ask(stage, first, put("before"))
    shredded(stage, others)
    stage.wait(120)
    assert [held(stage, node) for node in others] == [[], []]
    # It has seen nothing: what the third node has would stay beside it.
    assert isinstance(ask(stage, others[0], put("after", seen=())), Answer)
    assert [held(stage, node) for node in others] == [[b'"after"'], [b'"after"']]
    shredded(stage, [first])
    stage.wait(120)
    assert held(stage, first) == [b'"after"']


def first_owner(stage: Stage) -> int:
    token = TOKEN_HASHES[stage.topology.token_hash](encode_key(KEY), stage.topology.token_seed)
    return stage.placement.owners(stage.placement.partition(token), PlacementRule(3))[0]


def test_what_was_shredded_here_is_not_read_back_from_a_node_that_missed_it() -> None:
    stage = Stage(3, SETTINGS)
    assert isinstance(ask(stage, 0, put("before")), Answer)
    shredded(stage, [0, 1])
    for node in (0, 1):
        for r in (1, 2, 3):
            assert not ask(stage, node, Get("default", KEY, r=r)).record.versions
        (page,) = stage.scan(node, b"", 10)
        assert page.entries == []
