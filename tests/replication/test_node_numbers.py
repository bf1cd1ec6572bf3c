"""Nodes are named by their numbers, whatever these are: positions have no part in anything."""

from __future__ import annotations

import random
from typing import Any

import pytest
from kit.stage import Stage

from kvorum.model.record import JSON
from kvorum.model.request import Delete, Get, Put
from kvorum.model.topology import NamespaceSettings

SLOPPY = NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=500, quorum="sloppy")
NODES = 4
GAPS = (3, 7, 40, 2_000_000_000)


def story(stage: Stage, seed: int) -> list[Any]:
    """What clients are told while nodes come and go; in the end, what is on every disk."""
    rng = random.Random(seed)
    told: list[Any] = []
    for step in range(60):
        up = [node for node, replicator in enumerate(stage.nodes) if replicator is not None]
        node, key = rng.choice(up), rng.choice("abcd")
        match rng.choice(("put", "put", "get", "delete", "kill", "restart", "cut", "wait")):
            case "put":
                told.append(stage.ask(node, Put("default", key, JSON, b"%d" % step)))
            case "get":
                told.append(stage.ask(node, Get("default", key)))
            case "delete":
                told.append(stage.ask(node, Delete("default", key)))
            case "kill" if len(up) == NODES:
                stage.kill(node)
            case "restart" if len(up) < NODES:
                (down,) = set(range(NODES)) - set(up)
                stage.restart(down, crashed=True)
            case "cut" if len(up) == NODES:
                other = rng.choice([n for n in range(NODES) if n != node])
                stage.cut(node, other)
                stage.wait(1)
                stage.mend(node, other)
        stage.wait(rng.choice((0.0, 0.1, 3.0)))
    for node, replicator in enumerate(stage.nodes):
        if replicator is None:
            stage.restart(node)
    stage.wait(200)
    return [told, [disk.durable for disk in stage.disks]]


@pytest.mark.parametrize("seed", range(4))
def test_numbers_with_gaps_change_nothing_that_anybody_sees(seed: int) -> None:
    assert story(Stage(NODES, SLOPPY, GAPS), seed) == story(Stage(NODES, SLOPPY), seed)
