"""Stories of several nodes, as transcripts: a command, then what is to be seen.

Each file in `transcripts/` is a story. A line that begins with `>` is what the command
above it must print. `UPDATE_TRANSCRIPTS=1 pytest tests/replication` writes what is seen
now into the files; read the diff before you believe it.

    cluster 3 n=3 r=2 w=2 [quorum=sloppy]     three nodes; settings of the default namespace
    put n1 KEY VALUE [as C] [seeing C] [w=2] [quorum=sloppy]    `as C` keeps the version
    get n1 KEY [as C] [r=2]
    delete n1 KEY [seeing C]
    kill n1 / restart n1 / cut n1 n2 / mend n1 n2
    hold n1 n2 / release n1 n2     keep messages of n1 to n2 back
    disk n1 held / disk n1 free    keep writes of n1 from becoming durable
    wait SECONDS
    show KEY                       what each owner, in preference order, holds
    hints n1                       what n1 owes to others
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from kit.stage import Stage

from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import EMPTY, JSON, Context, Record, decode
from kvorum.model.request import Answer, Delete, Get, Put, Result
from kvorum.model.topology import NamespaceSettings

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


class Teller:
    """Plays commands on a stage and says what is to be seen."""

    def __init__(self) -> None:
        self.stage: Stage
        self.contexts: dict[str, Context] = {}
        self.waiting: list[tuple[str, list[Result], str | None]] = []

    def play(self, line: str) -> list[str]:
        command, *words = line.split()
        said = getattr(self, f"do_{command}")(*words) or []
        if command != "cluster":
            self.stage.settle()
        return said + self.answers()

    def answers(self) -> list[str]:
        """Answers that have come since; a request that has none yet goes on waiting."""
        said, still = [], []
        for label, results, keep in self.waiting:
            if not results:
                still.append((label, results, keep))
                continue
            (result,) = results
            if isinstance(result, Answer) and keep is not None:
                self.contexts[keep] = result.record.context
            said.append(f"{label}: {self.tell(result)}")
        if len(still) != len(self.waiting) or said:
            self.waiting = still
        return said

    def tell(self, result: Result) -> str:
        if isinstance(result, Answer):
            hinted = f" hinted={result.hinted}" if result.hinted else ""
            return self.record(result.record) + (" new" if result.created else "") + hinted
        details = result.details
        counts = f" {details['got']}/{details['needed']}" if "needed" in details else ""
        hinted = f" hinted={details['hints']}" if details.get("strict") is False else ""
        return f"{result.code}{counts} outcome={result.outcome}{hinted}"

    def record(self, record: Record) -> str:
        values = " | ".join(v.value.decode() for v in record.live_versions()) or "(nothing)"
        clock = " ".join(
            f"n{e.actor >> 20}{'#' + str(e.actor & 0xFFFFF) if e.actor & 0xFFFFF > 1 else ''}"
            f":{e.counter}"
            for e in record.context
        )
        return f"{values} [{clock}]"

    def submit(self, kind: str, node: str, key: str, words: list[str], value: str = "") -> None:
        options = dict(word.split("=") for word in words if "=" in word)
        pairs = dict(pairwise(words))
        seen = self.contexts[pairs["seeing"]] if "seeing" in pairs else None
        label = f"{kind} {node} {key}" + (f" {value}" if value else "")
        quorum = cast("Any", options.get("quorum", ""))
        request: Get | Put | Delete
        if kind == "get":
            request = Get("default", key, int(options.get("r", 0)), quorum=quorum)
        elif kind == "put":
            w = int(options.get("w", 0))
            request = Put("default", key, JSON, value.encode(), seen, w=w, quorum=quorum)
        else:
            request = Delete("default", key, seen, quorum=quorum)
        results = self.stage.ask(index(node), request)
        self.waiting.append((label, results, pairs.get("as")))

    def do_cluster(self, nodes: str, *words: str) -> None:
        options = dict(word.split("=") for word in words)
        settings = NamespaceSettings(
            replicas=int(options["n"]),
            read=int(options["r"]),
            write=int(options["w"]),
            timeout_ms=1000,
            quorum=cast("Any", options.get("quorum", "strict")),
        )
        self.stage = Stage(int(nodes), settings)

    def do_put(self, node: str, key: str, value: str, *words: str) -> None:
        self.submit("put", node, key, list(words), value)

    def do_get(self, node: str, key: str, *words: str) -> None:
        self.submit("get", node, key, list(words))

    def do_delete(self, node: str, key: str, *words: str) -> None:
        self.submit("delete", node, key, list(words))

    def do_kill(self, node: str) -> None:
        self.stage.kill(index(node))

    def do_restart(self, node: str) -> None:
        self.stage.restart(index(node))

    def do_cut(self, a: str, b: str) -> None:
        self.stage.cut(index(a), index(b))

    def do_mend(self, a: str, b: str) -> None:
        self.stage.mend(index(a), index(b))

    def do_hold(self, a: str, b: str) -> None:
        self.stage.holds.add((index(a), index(b)))

    def do_release(self, a: str, b: str) -> None:
        self.stage.holds.discard((index(a), index(b)))

    def do_disk(self, node: str, state: str) -> None:
        disk = self.stage.disks[index(node)]
        disk.held = state == "held"
        disk.full = state == "full"
        if state == "broken":
            disk.fail()
        self.stage.clock.call_soon(disk.sync)

    def do_wait(self, seconds: str) -> None:
        self.stage.wait(float(seconds))

    def do_show(self, key: str) -> list[str]:
        stage = self.stage
        token = TOKEN_HASHES["murmur3"](key.encode(), 0)
        place = storage_key(token, "default", key.encode())
        replicas = stage.topology.namespaces["default"].replicas
        said = []
        partition = stage.placement.partition(token)
        owners = stage.placement.owners(partition, PlacementRule(replicas))
        for node in stage.placement.preference(partition, PlacementRule(replicas)):
            data = stage.disks[node].get(place)
            if data is None and node not in owners:
                continue
            record = EMPTY if data is None else decode(place, data)
            down = " (down)" if stage.nodes[node] is None else ""
            guest = "" if node in owners else " (no owner)"
            said.append(f"n{node + 1}: {self.record(record)}{guest}{down}")
        return said

    def do_hints(self, node: str) -> list[str]:
        replicator = self.stage.nodes[index(node)]
        assert replicator is not None
        return [
            f"owes n{other + 1}: {replicator.hints_owed(other)}"
            for other in range(len(self.stage.nodes))
            if replicator.hints_owed(other)
        ]


def index(name: str) -> int:
    return int(name.removeprefix("n")) - 1


def retell(text: str) -> str:
    teller = Teller()
    told = []
    for line in text.splitlines():
        if line.startswith(">"):
            continue
        told.append(line)
        if line.strip() and not line.startswith("#"):
            told += [f"> {seen}" for seen in teller.play(line)]
    assert not teller.waiting, f"never answered: {teller.waiting}"
    return "\n".join(told) + "\n"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    text = path.read_text()
    told = retell(text)
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        path.write_text(told)
    else:
        assert told == text


def test_there_are_transcripts() -> None:
    assert TRANSCRIPTS
