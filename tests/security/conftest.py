"""A secure cluster of three real nodes, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.program import kvorum
from kit.secure_cluster import NODES, SecureCluster

from kvorum.devcluster.ports import free_port


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    directory = tmp_path_factory.mktemp("secure") / "data"
    port = free_port(NODES)
    words = ("-n", NODES, "--data-dir", directory, "--port", port, "--log-level", "debug")
    with kvorum("up", "--secure", *words) as program:
        lines = [program.line()]
        while not lines[-1].startswith("cluster ready"):
            lines.append(program.line())
        yield SecureCluster(directory, port, program, lines)
        assert program.stopped() == 0, program.errors
