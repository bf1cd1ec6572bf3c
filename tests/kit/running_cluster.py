"""A cluster of real processes, made by `kvorum up`, and commands that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from rocksdict import Options, Rdict

import kvorum as client_library
from kit.program import kvorum
from kvorum.cli import main
from kvorum.devcluster.ports import free_port
from kvorum.model.keys import TOKEN_HASHES, token_range
from kvorum.model.topology_toml import parse_topology


class Cluster:
    def __init__(self, directory: Path, port: int, nodes: int) -> None:
        self.directory = directory
        self.nodes = [directory / f"n{i + 1}" for i in range(nodes)]
        self.server = f"127.0.0.1:{port}"
        self.session_expires: int | None = None

    def run(self, *words: str | Path) -> Any:
        """What a command that succeeds prints as JSON."""
        result = command(*words, "--server", self.server, "-o", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def entries(self) -> dict[str, Any]:
        with client_library.connect(f"kvorum://{self.server}") as store:
            return {entry.key: entry.value for entry in store.scan()}

    def expiry(self, key: str) -> int | None:
        with client_library.connect(f"kvorum://{self.server}") as store:
            return store.get_entry(key).expires_at

    def fill(self, entries: dict[str, Any]) -> None:
        with client_library.connect(f"kvorum://{self.server}") as store:
            store.set_many(entries)


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


@contextmanager
def running(directory: Path, nodes: int) -> Iterator[Cluster]:
    """A cluster in `directory`, where it may have been before."""
    port = free_port(nodes)
    file = directory / "cluster.toml"
    words: list[str | int | Path] = ["--data-dir", directory]
    if file.exists():
        port = int(json.loads((directory / "port").read_text()))
    else:
        words += ["-n", nodes, "--port", port]
    with kvorum("up", *words) as program:
        while not program.line().startswith("cluster ready"):
            pass
        (directory / "port").write_text(json.dumps(port))
        yield Cluster(directory, port, nodes)
        assert program.stopped() == 0, program.errors


def origins(cluster: Cluster) -> list[str | Path]:
    return [word for node in cluster.nodes for word in ("--from", node)]


def damage(cluster: Cluster, key: str, *nodes: int) -> str:
    """Make what the stopped nodes, counted from 0, have filed of `key` unreadable; its token."""
    text = (cluster.directory / "cluster.toml").read_text()
    topology = parse_topology(text, "cluster.toml", bytes(32))
    token = TOKEN_HASHES[topology.token_hash](key.encode(), topology.token_seed)
    start, end = token_range(token)
    for node in nodes:
        engine: Any = Rdict(str(cluster.nodes[node] / "rocks"), Options(raw_mode=True))
        stored = [at for at in engine.keys() if start <= at < end]  # noqa: SIM118
        assert stored, "what is to be damaged is not filed"
        for at in stored:
            sealed = bytearray(engine[at])
            sealed[-1] ^= 1
            engine[at] = bytes(sealed)
        engine.flush()
        engine.close()
    return token[:8].hex()
