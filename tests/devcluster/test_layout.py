"""The directory of a local cluster."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kvorum.cli.servers.topology_file import load_topology
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import local_topology
from kvorum.model.errors import ConfigError

TOPOLOGY = local_topology(3, 8000)


def test_what_was_filed_can_be_loaded(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a" / "D")
    assert not layout.exists
    filed = layout.create(TOPOLOGY)
    assert layout.exists
    assert load_topology(layout.topology_file, environ={}) == filed
    assert stat.S_IMODE((layout.directory / "cluster.secret").stat().st_mode) == 0o600


def test_each_cluster_has_a_secret_of_its_own(tmp_path: Path) -> None:
    first = Layout(tmp_path / "a").create(TOPOLOGY)
    second = Layout(tmp_path / "b").create(TOPOLOGY)
    assert first.secret != second.secret


def test_a_start_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create(TOPOLOGY)
    layout.topology_file.rename(tmp_path / "cluster.draft")
    assert not layout.exists
    filed = layout.create(TOPOLOGY)
    assert load_topology(layout.topology_file, environ={}) == filed
    assert {path.name for path in tmp_path.iterdir()} == {"cluster.secret", "cluster.toml"}


def test_a_cluster_is_never_overwritten(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create(TOPOLOGY)
    before = layout.topology_file.read_bytes()
    with pytest.raises(ConfigError, match=r"cluster\.toml"):
        layout.create(local_topology(5, 9000))
    assert layout.topology_file.read_bytes() == before


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Choose another"):
        Layout(tmp_path / "file" / "D").create(TOPOLOGY)
