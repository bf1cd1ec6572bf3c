"""The files in deploy/, checked as far as that goes without an engine or an init system."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from kit.http_store import StoreDouble

from kvorum.cli import main
from kvorum.model.topology import Topology
from kvorum.model.topology_toml import parse_topology

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
UNIT: Final = DEPLOY / "kvorum@.service"
EXPOSURE_MAX: Final = 2.0


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a `kvorum` command, as its own parser reads them."""
    name, *rest = words
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command.make_context(name, rest).params


def instructions(name: str) -> list[str]:
    """What the Dockerfile says under `name`, each on one line."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def of_unit(name: str) -> list[str]:
    """The values of a setting of the unit, in order."""
    lines = UNIT.read_text().splitlines()
    return [line.removeprefix(f"{name}=") for line in lines if line.startswith(f"{name}=")]


def topology() -> Topology:
    path = DEPLOY / "cluster.toml"
    return parse_topology(path.read_text(), str(path), b"a secret of 16 bytes")


# The image


def test_the_node_is_the_first_process_and_gets_sigterm_itself() -> None:
    assert instructions("ENTRYPOINT") == ['["kvorum"]']
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    params = parsed(json.loads(instructions("CMD")[-1]))
    assert (params["host"], params["insecure"]) == ("0.0.0.0", True)
    assert [str(params["data_dir"])] == json.loads(instructions("VOLUME")[0])


def test_the_image_runs_as_a_user_without_rights() -> None:
    (user,) = instructions("USER")
    assert user == "10001:10001"
    assert f"install -d -o kvorum -g kvorum -m 0700 {instructions('WORKDIR')[-1]}" in " ".join(
        " ".join(line.split()) for line in instructions("RUN")
    )


def test_all_that_is_copied_is_there_and_gets_into_the_context() -> None:
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in instructions("COPY"):
        if line.startswith("--from="):
            continue
        *sources, _target = line.split()
        for source in sources:
            assert (DEPLOY.parent / source).exists()
            assert f"!{source}" in let_in


def load_health() -> Callable[[str, int], str]:
    spec = importlib.util.spec_from_file_location("health", DEPLOY / "health.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    check: Callable[[str, int], str] = module.check
    return check


def test_the_health_check_asks_the_node(store: StoreDouble) -> None:
    (words,) = (json.loads(line.partition("CMD ")[2]) for line in instructions("HEALTHCHECK"))
    assert words == ["python", "/opt/kvorum/health.py"]
    check = load_health()
    host, _, port = store.address.rpartition(":")
    store.documents = {"/health": {"status": "ok"}}
    assert check(host, int(port)) == ""
    store.documents = {}
    assert "status 404" in check(host, int(port))
    assert "no answer from 127.0.0.1:1" in check("127.0.0.1", 1)


# compose.yaml


def test_each_node_of_the_cluster_file_is_a_service_of_its_name() -> None:
    assert list(SERVICES) == [node.name for node in topology().nodes]
    for node in topology().nodes:
        assert SERVICES[node.name]["hostname"] == node.name
        assert (node.http, node.peer) == (f"{node.name}:7400", f"{node.name}:7500")


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_of_a_service_is_one_that_kvorum_takes(name: str) -> None:
    service = SERVICES[name]
    params = parsed(service["command"])
    assert params["node"] == name
    assert not params["insecure"]
    mounts = {target: source for source, target, *_ in (m.split(":") for m in service["volumes"])}
    cluster = mounts.pop(str(params["cluster"]))
    assert (DEPLOY / cluster).is_file()
    certs = str(params["certs"])
    assert mounts.pop(certs) == "./certs"
    assert service["environment"]["KVORUM_CA"] == f"{certs}/ca.crt"
    ((data, volume),) = mounts.items()
    assert params["data_dir"].is_relative_to(data)
    assert volume in COMPOSE["volumes"]


def test_no_two_services_share_a_volume() -> None:
    named = [mount.split(":")[0] for each in SERVICES.values() for mount in each["volumes"]]
    volumes = [name for name in named if not name.startswith(".")]
    assert len(set(volumes)) == len(volumes) == len(SERVICES)


def test_services_restart_have_time_to_stop_and_ask_for_a_secret() -> None:
    for service in SERVICES.values():
        assert service["restart"] == "unless-stopped"
        assert service["stop_grace_period"] == "60s"
        assert ":?" in service["environment"]["KVORUM_CLUSTER_SECRET"]
        assert "ports" not in service


def test_compose_builds_from_the_dockerfile() -> None:
    for service in SERVICES.values():
        context = (DEPLOY / service["build"]["context"]).resolve()
        assert (context / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")


# The systemd unit


def test_the_unit_runs_a_command_that_kvorum_takes() -> None:
    (line,) = of_unit("ExecStart")
    program, *words = shlex.split(line.replace("%i", "n1").replace("$KVORUM_OPTIONS", "--certs /c"))
    assert program.endswith("/kvorum")
    params = parsed(words)
    assert params["node"] == "n1"
    assert of_unit("StateDirectory") == ["kvorum/%i"]
    assert str(params["data_dir"]) == "/var/lib/kvorum/n1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "kvorum@n1.service"
    # Only the program itself has to exist.
    unit.write_text(UNIT.read_text().replace("/opt/kvorum/bin/kvorum", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", exposed.stdout)
    assert found is not None, exposed.stderr
    assert float(found[1]) <= EXPOSURE_MAX
