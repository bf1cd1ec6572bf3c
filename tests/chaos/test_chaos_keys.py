"""kvorum data-keys, master-keys, namespace drop and scrub, against clusters of real processes.

The nodes are killed, their engine's files are opened, read and damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_nodes import ServedCluster, ServedNode, asked
from click.testing import CliRunner, Result
from kit.waiting import eventually
from msgspec.structs import replace
from rocksdict import Options, Rdict

from kvorum import connect
from kvorum.cli import main
from kvorum.client import node_requests
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.model.topology import NamespaceSettings
from kvorum.sealing.seal import key_id_of

ENTRIES = 1500
SECRET = "kiwi-secret"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    with ServedCluster.of(3, tmp_path) as cluster:
        yield cluster


def fill(cluster: ServedCluster, count: int = ENTRIES) -> None:
    with connect(cluster.url) as client:
        client.set_many({f"{SECRET}-name-{n}": value(n) for n in range(count)})


def value(number: int) -> str:
    return f"{SECRET}-value-{number}-" + "x" * 200


def check_filled(node: ServedNode, count: int = ENTRIES) -> None:
    with connect(node.url) as client:
        for n in range(0, count, 37):
            assert client.get(f"{SECRET}-name-{n}") == value(n)


def invoke(*words: str, cluster: ServedCluster) -> Result:
    servers = ",".join(node.spec.http for node in cluster.nodes)
    return CliRunner().invoke(main, [*words, "--server", servers, "-o", "json"])


def run(*words: str, cluster: ServedCluster) -> Any:
    result = invoke(*words, cluster=cluster)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def stored(node: ServedNode) -> dict[bytes, bytes]:
    """All pairs in the engine of a stopped node."""
    options = Options(raw_mode=True)
    engine = Rdict(str(node.data_dir / "rocks"), options)
    try:
        return pairs(engine)
    finally:
        engine.close()


def pairs(engine: Rdict) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    cursor = engine.iter()
    cursor.seek_to_first()
    while cursor.valid():
        found[cursor.key()] = cursor.value()
        cursor.next()
    cursor.status()
    del cursor
    return found


def change(node: ServedNode, act: Callable[[Rdict], None]) -> None:
    engine = Rdict(str(node.data_dir / "rocks"), Options(raw_mode=True))
    try:
        act(engine)
        engine.flush()
    finally:
        engine.close()


def quarantined(node: ServedNode) -> dict[str, int]:
    with connect(node.url) as client:
        found: dict[str, int] = client.status()["storage"]["quarantine"]
    return found


def test_a_rotation_survives_kill_9_and_frees_the_old_key(cluster: ServedCluster) -> None:
    fill(cluster)
    node = cluster.nodes[0]
    begun = run("data-keys", "rotate", cluster=cluster)
    new = begun[node.spec.name]["rotated"]["default"]
    node.kill()
    node.start()
    run("data-keys", "rotate", "--namespace", "default", cluster=cluster)
    node.kill()
    node.start()

    def freed() -> bool:
        listed = run("data-keys", "list", cluster=cluster)[node.spec.name]["keys"]
        return [key["state"] for key in listed] == ["active"]

    eventually(freed, "the old key to be freed")
    check_filled(node)
    node.stop()
    sealed = [value for key, value in stored(node).items() if key[:1] in (b"d", b"h")]
    assert len(sealed) >= ENTRIES
    assert {key_id_of(one) for one in sealed} == {new + 1}


def test_it_waits_until_all_old_keys_are_gone(cluster: ServedCluster) -> None:
    fill(cluster, 300)
    cluster.await_healed()  # for hints count as well
    documents = run("data-keys", "rotate", "--wait", cluster=cluster)
    assert len(documents) == 3
    for document in documents.values():
        (key,) = document["keys"]
        assert (key["state"], key["records"], key["share"]) == ("active", 300, 1.0)


def test_a_dropped_namespace_is_gone_from_every_node_and_from_the_files(
    cluster: ServedCluster,
) -> None:
    fill(cluster)
    cluster.await_filed()
    gone = cluster.nodes[2]
    run("namespace", "drop", "default", "--shred", "--yes", cluster=cluster)
    with connect(cluster.url) as client:
        assert client.get(f"{SECRET}-name-0") is None
        assert list(client.scan()) == []
        client.set("after", 1)

    def swept() -> bool:
        with connect(gone.url) as client:
            scrub = client.status()["storage"]["scrub"]
        return not scrub["running"] and scrub["whole"] is not None and scrub["whole"]["dropped"] > 0

    eventually(swept, "the records to be deleted")
    gone.stop()
    assert len([key for key in stored(gone) if key[:1] == b"d"]) <= 1
    size = sum(path.stat().st_size for path in (gone.data_dir / "rocks").glob("*.sst"))
    assert size < 50 * ENTRIES
    gone.start()
    run("repair", "--full", cluster=cluster)
    for node in cluster.nodes:
        with connect(node.url) as client:
            assert [entry.key for entry in client.scan()] == ["after"]


def test_peers_that_have_not_shredded_yet_do_not_bring_it_back(cluster: ServedCluster) -> None:
    fill(cluster, 200)
    first, second, third = (node.spec.http for node in cluster.nodes)
    with connect(cluster.url) as client:
        client.set("kept-apart", 1)
    before_ms = asked(first, node_requests.shred("default", None))["before_ms"]
    # It cannot make them equal, and says so.
    invoke("repair", "--full", cluster=cluster)
    cluster.nodes[0].kill()
    cluster.nodes[0].start()
    invoke("repair", "--full", cluster=cluster)
    assert asked(first, node_requests.scrub())["scrub"]["running"]
    for server in (second, third):
        asked(server, node_requests.shred("default", before_ms))
    run("repair", "--full", cluster=cluster)
    run("scrub", "--wait", cluster=cluster)
    for node in cluster.nodes:
        with connect(node.url) as client:
            assert list(client.scan()) == []
    cluster.nodes[0].stop()
    assert [key for key in stored(cluster.nodes[0]) if key[:1] == b"d"] == []


def test_a_flipped_byte_is_found_not_served_and_repaired_from_peers(
    cluster: ServedCluster,
) -> None:
    fill(cluster, 200)
    cluster.await_filed()
    node = cluster.nodes[1]
    node.stop()
    damaged: list[bytes] = []

    def flip(engine: Rdict) -> None:
        for key, value in pairs(engine).items():
            if key[:1] == b"d" and len(damaged) < 5:
                damaged.append(key)
                engine[key] = value[:-5] + bytes([value[-5] ^ 1]) + value[-4:]

    change(node, flip)
    node.start()
    run("scrub", "--wait", cluster=cluster)
    eventually(lambda: quarantined(node)["damaged"] == 0, "the damage to be repaired")
    check_filled(node, 200)
    node.stop()
    assert "damaged record in partition" in node.log
    assert SECRET not in node.log
    sound = stored(node)
    assert all(key in sound for key in damaged)
    node.start()
    document = run("scrub", "--wait", cluster=cluster)[node.spec.name]
    assert document["scrub"]["whole"]["damaged"] == 0


def test_a_damaged_file_is_told_of_and_what_is_sound_is_served(cluster: ServedCluster) -> None:
    fill(cluster)
    node = cluster.nodes[0]
    run("data-keys", "rotate", "--wait", cluster=cluster)  # It leaves files behind, not only logs.
    node.stop()
    change(node, lambda engine: engine.compact_range(None, None))
    path = max((node.data_dir / "rocks").glob("*.sst"), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x55
    path.write_bytes(content)
    node.start()
    run("scrub", "--wait", cluster=cluster)
    with connect(node.url) as client:
        status = client.status()
        assert path.name in status["storage"]["damaged_files"]
        eventually(lambda: client.status()["anti_entropy"]["trees_built"], "the trees to be built")
    check_filled(node)
    run("repair", "--full", cluster=cluster)
    with connect(node.url) as client:
        for n in range(ENTRIES):
            assert client.get(f"{SECRET}-name-{n}", r=1) == value(n)


def test_no_name_and_no_value_lies_plain_in_any_file(tmp_path: Path) -> None:
    sloppy = {"default": NamespaceSettings(replicas=3, read=2, write=2, quorum="sloppy")}
    topology = replace(local_topology(3, free_port(3)), namespaces=sloppy)
    with ServedCluster(tmp_path, topology) as cluster:
        away = cluster.nodes[2]
        fill(cluster, 300)
        away.kill()
        cluster.await_seen_down(away, by=cluster.nodes[0])
        fill(cluster, 600)
        with connect(cluster.nodes[0].url) as client:
            assert sum(node["hints_owed"] for node in client.status()["nodes"]) > 0
        check_no_plain_text(tmp_path)
        away.start()
        run("data-keys", "rotate", "--wait", cluster=cluster)
        cluster.nodes[1].kill()
        check_no_plain_text(tmp_path)
        cluster.nodes[0].stop()
    check_no_plain_text(tmp_path)


def check_no_plain_text(directory: Path) -> None:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
