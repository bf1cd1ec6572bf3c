"""Disks fill up, fail to sync, and damage what they hold: nothing acknowledged is lost."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from chaos_ledger import Ledger, read
from chaos_load import Load
from chaos_namespaces import Namespace, own_namespace, requires_namespaces, requires_programs
from chaos_nodes import ServedCluster, ServedNode
from chaos_verdict import verify, verify_through
from kit.waiting import eventually

from kvorum import connect
from kvorum.cli.errors import ExitCode
from kvorum.client.entry import Entry
from kvorum.client.synchronous import Client
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.model.errors import DiskFull, UnavailableError
from kvorum.storage.log_file import BLOCK
from kvorum.storage.log_recovery import Recovered

pytestmark = pytest.mark.chaos


MEBI = 1 << 20


def fill(directory: Path, leave: int = 0) -> None:
    """A file takes the space that there is on the disk of `directory`, but for `leave` bytes."""
    stat = os.statvfs(directory)
    left = stat.f_bavail * stat.f_frsize - leave
    with open(directory / FILLER, "ab", buffering=0) as file:
        try:
            while left > 0:
                left -= file.write(bytes(min(left, 4096)))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


FILLER = "filler"


@requires_namespaces
@requires_programs("mount")
def test_a_disk_is_full(tmp_path: Path) -> None:
    with own_namespace() as place:
        topology = local_topology(3, free_port(3))
        # All run in their own mounts but in the network of everyone.
        enter = {"n1": ("nsenter", "--target", str(place.pid), "--mount")}
        cluster = ServedCluster(tmp_path / "cluster", topology, enter)
        full = cluster.nodes[0]
        mount_small_disk(place, full)
        disk = place.path(full.data_dir)
        with cluster, connect(full.url) as client:
            with Load(cluster.url) as load:
                client.set_many((f"gone-{n}", n) for n in range(200))
                load.await_acknowledged(200)
                fill(disk, leave=MEBI)
                eventually(lambda: takes_no_copies(full), "values to be refused")
                load.await_acknowledged(200)
            for n in range(20):  # others coordinate what it would have to
                client.set(f"room-{n}", "value")

            fill(disk)
            for n in range(200):
                assert client.delete(f"gone-{n}").value == n
            assert client.get("gone-0") is None

            full.kill()
            full.start()
            assert takes_no_copies(full)
            verify_through(cluster.nodes, load.ledger, r=2)

            (disk / FILLER).unlink()
            eventually(lambda: not takes_no_copies(full), "values to be taken again")
            with Load(cluster.url, load.ledger):
                load.await_acknowledged(200)
            verify(cluster, load.ledger)
            assert "full" in full.log
            assert full.running


@requires_namespaces
@requires_programs("mount")
def test_the_disk_of_a_node_alone_is_full(tmp_path: Path) -> None:
    with own_namespace() as place:
        topology = local_topology(1, free_port(1))
        enter = {"n1": ("nsenter", "--target", str(place.pid), "--mount")}
        cluster = ServedCluster(tmp_path / "cluster", topology, enter)
        (node,) = cluster.nodes
        mount_small_disk(place, node)
        disk = place.path(node.data_dir)
        with cluster, connect(node.url) as client:
            client.set_many((f"kept-{n}", n) for n in range(200))
            fill(disk, leave=MEBI)
            eventually(lambda: refused(client, "probe"), "values to be refused")
            assert refused(client, "new")
            assert client.get("new") is None
            assert client.get_many([f"kept-{n}" for n in range(200)]) == {
                f"kept-{n}": n for n in range(200)
            }
            assert client.delete("kept-7").value == 7
            (disk / FILLER).unlink()
            eventually(lambda: not refused(client, "new"), "values to be taken again")
            assert client.get("new") == "value"


def use_up_inodes(directory: Path) -> None:
    """Empty files take all the inodes that there are on the file system of `directory`."""
    directory.mkdir()
    try:
        for number in count():
            (directory / str(number)).touch()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@requires_namespaces
@requires_programs("mount")
@pytest.mark.parametrize("nodes", [1, 3])
def test_the_inodes_of_a_disk_are_used_up(tmp_path: Path, nodes: int) -> None:
    with own_namespace() as place:
        topology = local_topology(nodes, free_port(nodes))
        enter = {"n1": ("nsenter", "--target", str(place.pid), "--mount")}
        # With little memory, and so small files, it has to make many.
        cluster = ServedCluster(tmp_path / "cluster", topology, enter, ("--memory", "32MB"))
        full = cluster.nodes[0]
        mount_small_disk(place, full, "size=256m,nr_inodes=300")
        disk = place.path(full.data_dir)
        large = {f"large-{n}": "value" * 20_000 for n in range(100)}
        with cluster, connect(full.url) as client:

            def is_full() -> bool:
                return refused(client, "probe") if nodes == 1 else takes_no_copies(full)

            client.set_many((f"gone-{n}", "value" * 10) for n in range(1200))
            use_up_inodes(disk / FILLER)
            eventually(is_full, "values to be refused")
            if nodes == 1:
                assert refused(client, "new")
                assert client.get("new") is None
            else:
                with Load(cluster.url) as load:  # the others go on
                    load.await_acknowledged(200)
                verify_through(cluster.nodes, load.ledger, r=2)
            # By now the node has given its reserve up, which others take as well. What is small is
            # still taken, and more of it than one file of the journal holds by itself.
            use_up_inodes(disk / "more")
            for n in range(1200):
                assert client.delete(f"gone-{n}").value == "value" * 10
            assert client.get("gone-0") is None
            assert full.running

            shutil.rmtree(disk / "more")
            full.kill()
            full.start()
            assert is_full()

            shutil.rmtree(disk / FILLER)
            eventually(lambda: not is_full(), "values to be taken again")
            for _ in range(3):  # files are made again
                client.set_many(large)
            assert client.get_many(large) == large
            assert client.get("gone-0") is None
            assert full.running
            assert "inodes" in full.log


def refused(client: Client, key: str) -> bool:
    """True if it is refused for want of room, and without effect."""
    try:
        client.set(key, "value")
    except DiskFull as error:
        return error.outcome == "none"
    return False


def takes_no_copies(node: ServedNode) -> bool:
    """True if nothing can be stored that `node`, too, has to store."""
    with connect(node.url) as client:
        for n in range(20):
            try:
                client.set(f"copy-{n}", "value", w=3)
            except (DiskFull, UnavailableError):
                return True
    return False


def mount_small_disk(place: Namespace, node: ServedNode, options: str = "size=64m") -> None:
    node.data_dir.mkdir()
    place.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", node.data_dir)


@requires_programs("strace")
@pytest.mark.parametrize("nodes", [1, 3])
def test_a_disk_fails_to_sync(tmp_path: Path, nodes: int) -> None:
    with ServedCluster.of(nodes, tmp_path / "cluster") as cluster:
        failing = cluster.nodes[0]
        failing.kill()
        # Only once: a node that tried again would succeed, and acknowledge what is lost.
        # -D keeps the node this process's own child; the tracer is nobody's.
        # A write to the journal's log, which is a sync as well.
        fault = "inject=pwrite64:error=EIO:when=60"
        failing.start("strace", "-D", "-f", "-o", "/dev/null", "-e", fault)
        life = incarnation(failing)
        with Load(cluster.url) as load:
            assert failing.ended() == ExitCode.UNKNOWN
            said = failing.log.splitlines()[-1]
            assert "sync its files" in said
            assert "Input/output error" in said
            assert "Check the file system at /" in said
            assert "restart the node" in said
            if nodes > 1:
                load.await_acknowledged(200)
            failing.start()
            assert incarnation(failing) == life + 1
            load.await_acknowledged(200)
        verify(cluster, load.ledger)


def incarnation(node: ServedNode) -> int:
    identity = json.loads((node.data_dir / "node.json").read_bytes())
    return int(identity["state"]["incarnation"])


SORTED_FILE = "rocks/*.sst"
LOG = "rocks/*.log"
JOURNAL = "journal/*.log"
MANIFEST = "rocks/MANIFEST-*"


@pytest.mark.parametrize("pattern", [SORTED_FILE, LOG, JOURNAL, MANIFEST])
def test_a_damaged_file_spoils_no_answer(tmp_path: Path, pattern: str) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        damaged, *others = cluster.nodes
        ledger = Ledger(value_bytes=1000)
        write_and_damage(cluster, ledger, pattern)
        damaged.begin()
        eventually(lambda: damaged.ready or not damaged.running, "it to start or to refuse")
        if damaged.running:
            verify_through(cluster.nodes, ledger, r=2)
        else:
            assert damaged.ended() == ExitCode.UNAVAILABLE
            assert f"{damaged.data_dir}/rocks: Corruption" in damaged.log.splitlines()[-1]
            verify_through(others, ledger, r=2)


@pytest.mark.parametrize("pattern", [SORTED_FILE, JOURNAL])
def test_damage_is_written_over(tmp_path: Path, pattern: str) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        damaged = cluster.nodes[0]
        ledger = Ledger(value_bytes=1000)
        write_and_damage(cluster, ledger, pattern)
        damaged.start()
        enough = ledger.acknowledged + 300

        def written() -> bool:
            assert "failed to handle a message" not in damaged.log
            return ledger.acknowledged >= enough

        with Load(cluster.url, ledger):
            eventually(written, "every key to be written again")
        verify(cluster, ledger)


def test_a_lost_disk_is_replaced_by_an_empty_one(tmp_path: Path) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        replaced = cluster.nodes[0]
        with Load(cluster.url) as load:
            load.await_acknowledged(200)
            replaced.kill()
            shutil.rmtree(replaced.data_dir)
            replaced.start()
            load.await_acknowledged(200)
        verify(cluster, load.ledger)


def test_a_node_that_forgot_makes_no_siblings(tmp_path: Path) -> None:
    keys = [f"key-{n}" for n in range(30)]
    with ServedCluster.of(3, tmp_path / "cluster") as cluster, connect(cluster.url) as client:
        replaced = cluster.nodes[0]
        client.set_many((key, "before") for key in keys)
        cluster.await_healed()
        replaced.kill()
        lose_disk(replaced)
        replaced.start()
        cluster.await_healed()
        client.set_many((key, "after") for key in keys)
        for key, entry in read(client, keys, r=3).items():
            assert entry is not None
            assert (entry.value, entry.siblings) == ("after", ()), key


def lose_disk(node: ServedNode) -> None:
    shutil.rmtree(node.data_dir)


def damage_journal(node: ServedNode) -> None:
    """All of it but the newest entry: without that it would look as if it had never been."""
    left = Recovered(node.data_dir / "journal")
    for file, found in left.entries[:-1]:
        data = bytearray(file.path.read_bytes())
        data[found.end - BLOCK + 50] ^= 0x40
        file.path.write_bytes(data)


@pytest.mark.parametrize("lose", [lose_disk, damage_journal])
def test_a_node_that_forgot_does_not_vote(
    tmp_path: Path, lose: Callable[[ServedNode], None]
) -> None:
    """Two replicas acknowledged; one forgot, the other is down: the third has never heard."""
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        forgetful, other, absent = cluster.nodes
        cluster.await_healed()  # all have met
        absent.kill()
        with connect(other.url) as client:
            client.set("key", "value" * 1000)
            client.set("another", "value")
        forgetful.kill()
        other.kill()
        lose(forgetful)
        cluster.start(forgetful, absent)
        with connect(forgetful.url) as client, pytest.raises(UnavailableError):
            client.get_entry("key", r=2)


def test_a_node_alone_that_forgot_says_so_and_goes_on(tmp_path: Path) -> None:
    with ServedCluster.of(1, tmp_path / "cluster") as cluster, connect(cluster.url) as client:
        (node,) = cluster.nodes
        life = incarnation(node)
        client.set("key", "value" * 1000)
        client.set("another", "value")
        assert not client.status()["forgot"]
        node.kill()
        damage_journal(node)
        for lives in (2, 1):  # this start and the loss both begin a new one
            node.start()
            life += lives
            assert incarnation(node) == life
            assert client.status()["forgot"]
            assert client.set("key", "again").value == "again"
            node.kill()


def write_and_damage(cluster: ServedCluster, ledger: Ledger, pattern: str) -> None:
    """Afterwards the first node is not running."""
    with Load(cluster.url, ledger) as load:
        load.await_acknowledged(300)
    if pattern != JOURNAL:
        cluster.await_filed()
    node = cluster.nodes[0]
    node.kill()
    if pattern in (SORTED_FILE, MANIFEST):
        # Recovery makes a sorted file of the log.
        node.start()
        node.kill()
    damage(largest(node.data_dir, pattern))


def largest(directory: Path, pattern: str) -> Path:
    return max(directory.glob(pattern), key=lambda file: file.stat().st_size)


def damage(file: Path) -> None:
    """Change a byte in every kilobyte of the first half: the engine's tables begin with data."""
    data = bytearray(file.read_bytes())
    for place in range(100, max(101, len(data) // 2), 1000):
        data[place] ^= 0x40
    file.write_bytes(data)


def test_two_damaged_disks_and_an_empty_one_wait_for_nobody(tmp_path: Path) -> None:
    """Each gets what is left, soon; what none can read is refused, and never denied."""
    values = {f"key-{n}": f"{n}-{'v' * 200}" for n in range(3000)}
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        *damaged, replaced = cluster.nodes
        with connect(cluster.url) as client:
            for result in client.set_many(values.items()):
                assert isinstance(result, Entry), result
        cluster.await_healed()
        cluster.await_filed()
        for node in cluster.nodes:
            node.kill()
        for node in damaged:
            node.start()  # recovery makes a sorted file of the log
            node.kill()
            damage_some(node)
        lose_disk(replaced)
        cluster.start(*cluster.nodes)
        eventually(lambda: not any(map(is_short, cluster.nodes)), "all to be as whole as can be")
        for node in cluster.nodes:
            with connect(node.url) as client:
                waiting = client.status()["waiting"]
                assert bool(waiting["advice"]) == bool(waiting["unreadable"])
                refused = [key for key, value in values.items() if is_refused(client, key, value)]
            assert len(refused) < len(values) / 10


def is_refused(client: Client, key: str, value: str) -> bool:
    """True if one replica does not answer for `key`; what is answered is `value`."""
    try:
        assert client.get(key, r=1) == value, key
    except UnavailableError:
        return True
    return False


def is_short(node: ServedNode) -> bool:
    """True while it may still get something that it lacks."""
    with connect(node.url) as client:
        status = client.status()
    waiting = status["waiting"]
    return bool(status["recovering"] or waiting["tokens"] > waiting["unreadable"])


def damage_some(node: ServedNode) -> None:
    """A few bytes, in other places on each node, of the blocks of data of a sorted file."""
    file = largest(node.data_dir, SORTED_FILE)
    data = bytearray(file.read_bytes())
    chance = random.Random(node.spec.name)
    for _ in range(5):
        data[chance.randrange(len(data) * 8 // 10)] ^= 0x40
    file.write_bytes(data)
