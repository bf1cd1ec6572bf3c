"""A cluster of real processes, made by `kvorum up`, and commands that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from program import kvorum

import kvorum as client_library
from kvorum.cli import main
from kvorum.local.ports import free_port


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
