"""kvorum namespace create, alter, list and drop: on a running cluster, and where a node fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from kit.running_cluster import Cluster, command, running

import kvorum
from kvorum.cli.errors import ExitCode
from kvorum.client import namespace_changes
from kvorum.client.requests import Request
from kvorum.errors import NamespaceNotFound, RequestError, UnavailableError
from kvorum.model.errors import KvorumError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("up") / "data", 3) as cluster:
        yield cluster


def servers(cluster: Cluster) -> list[str]:
    host, port = cluster.server.split(":")
    return [f"{host}:{int(port) + at}" for at in range(3)]


def refused(cluster: Cluster, code: int, *words: str) -> str:
    result = command("namespace", *words, "--server", cluster.server)
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def settings_of(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """As each node has them."""
    listed = cluster.run("namespace", "list")
    return [node["namespaces"].get(name) for node in listed["nodes"].values()]


def test_one_that_was_made_serves_at_once_on_all_nodes(cluster: Cluster) -> None:
    cluster.run("namespace", "create", "made", "--ttl", "1m", "--no-hash-tags", "--replicas", "2")
    for at, writer in enumerate(servers(cluster)):
        with kvorum.connect(f"kvorum://{writer}?namespace=made") as store:
            assert store.set(f"k{at}", at).expires_at is not None
        for reader in servers(cluster):
            with kvorum.connect(f"kvorum://{reader}?namespace=made") as store:
                assert store.get(f"k{at}") == at
    first, *others = settings_of(cluster, "made")
    assert (first["replicas"], first["read"], first["ttl"]) == (2, 2, 60)
    assert first["hash_tags"] is False
    assert others == [first, first]
    shown = command("namespace", "list", "--server", cluster.server).stdout
    assert "made" in shown
    assert "all" in shown


def test_to_make_it_again_changes_nothing(cluster: Cluster) -> None:
    cluster.run("namespace", "create", "again", "--quorum", "sloppy")
    before = cluster.run("namespace", "list")["nodes"]["n1"]["version"]
    cluster.run("namespace", "create", "again", "--quorum", "sloppy")
    assert cluster.run("namespace", "list")["nodes"]["n1"]["version"] == before
    said = refused(cluster, ExitCode.USAGE, "create", "again", "--ttl", "1")
    assert "other settings" in said


def test_what_is_altered_holds_on_all_nodes_for_the_next_write(cluster: Cluster) -> None:
    cluster.run("namespace", "create", "later")
    cluster.run("namespace", "alter", "later", "--ttl", "60", "--write", "3", "--no-dictionary")
    assert [one["ttl"] for one in settings_of(cluster, "later")] == [60] * 3
    for server in servers(cluster):
        with kvorum.connect(f"kvorum://{server}?namespace=later") as store:
            assert store.set("k", 1).expires_at is not None


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_nothing_of_one_that_was_dropped_comes_back(cluster: Cluster, encryption: str) -> None:
    name = f"gone-{encryption}"
    cluster.run("namespace", "create", name, "--encryption", encryption)
    with kvorum.connect(f"kvorum://{cluster.server}?namespace={name}") as store:
        store.set_many({f"k{n}": "old" for n in range(100)})
        cluster.run("namespace", "drop", name, "--yes")
        for server in servers(cluster):
            with (
                kvorum.connect(f"kvorum://{server}?namespace={name}") as other,
                pytest.raises(NamespaceNotFound),
            ):
                other.get("k1")
        # Where it lay open, its records are deleted first.
        cluster.run("namespace", "create", name, "--timeout", "30")
        assert list(store.scan()) == []
        assert store.get("k1") is None
        store.set("k1", "new")
        assert [entry.value for entry in store.scan()] == ["new"]


def test_what_is_kept_in_memory_has_to_fit_on_each_node(cluster: Cluster) -> None:
    kept = ("--durability", "none", "--max-memory")
    said = refused(cluster, ExitCode.USAGE, "create", "kept", *kept, "1GB")
    assert "n1" in said
    assert "1 GB" in said
    assert "Lower max_memory, or give the node more memory" in said
    cluster.run("namespace", "create", "kept", *kept, "2MB")
    with kvorum.connect(f"kvorum://{cluster.server}?namespace=kept") as store:
        store.set("k", 1)
        assert store.get("k") == 1
    cluster.run("namespace", "drop", "kept", "--yes")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "a b"), ExitCode.CONFIG, "No namespace can be called 'a b'"),
        (("create", "_a"), ExitCode.CONFIG, "begins with a letter or digit"),
        (("create", "x", "--replicas", "4"), ExitCode.USAGE, "the cluster has 3"),
        (("create", "x", "--write", "4"), ExitCode.USAGE, "write"),
        (("create", "x", "--durability", "none"), ExitCode.USAGE, "max_memory"),
        (("create", "x", "--max-memory", "much"), ExitCode.CONFIG, "512MB"),
        (("create", "default"), ExitCode.USAGE, ""),
        (("alter", "nobody", "--ttl", "1"), ExitCode.NOT_FOUND, "n1, n2, n3"),
        (("alter", "default"), ExitCode.USAGE, "No setting is named"),
        (("alter", "default", "--read", "4"), ExitCode.USAGE, "read"),
        (("drop", "nobody", "--yes"), ExitCode.NOT_FOUND, "nobody"),
        (("drop", "default", "--yes"), ExitCode.USAGE, "cannot be dropped"),
        (("drop", "default"), ExitCode.REFUSED, "the answer was not yes"),
        (("shred", "nobody", "--yes"), ExitCode.NOT_FOUND, "nobody"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    cluster: Cluster, words: tuple[str, ...], code: int, said: str
) -> None:
    if words == ("create", "default"):  # It is there already, as it is made by default.
        cluster.run("namespace", *words)
        return
    before = cluster.run("namespace", "list")["nodes"]["n1"]["namespaces"]
    result = command("namespace", *words, "--server", cluster.server)
    assert result.exit_code == code, result.output
    assert said in result.stderr.splitlines()[-1]
    assert cluster.run("namespace", "list")["nodes"]["n1"]["namespaces"] == before


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("open1", ("--encryption", "off"), "is not encrypted"),
        ("kept1", ("--durability", "none", "--max-memory", "2MB"), "is kept in memory alone"),
    ],
)
def test_what_has_no_keys_is_not_shredded(
    cluster: Cluster, name: str, settings: tuple[str, ...], reason: str
) -> None:
    cluster.run("namespace", "create", name, *settings)
    said = refused(cluster, ExitCode.USAGE, "shred", name, "--yes")
    assert f"Namespace '{name}' {reason}, so it has no keys to destroy. " in said
    assert "drop the namespace" in said
    cluster.run("namespace", "drop", name, "--yes")
    result = command("data-keys", "rotate", "--namespace", name, "--server", cluster.server)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert f"'kvorum namespace create {name}'" in result.stderr


def test_the_namespaces_of_a_cluster_outlast_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, 2) as cluster:
        cluster.run("namespace", "create", "kept", "--ttl", "3600")
        cluster.run("namespace", "create", "gone")
        with kvorum.connect(f"kvorum://{cluster.server}?namespace=kept") as store:
            store.set("k", "v")
        cluster.run("namespace", "drop", "gone", "--yes")
    with running(data, 2) as cluster:
        names = {frozenset(node["namespaces"]) for node in listed(cluster).values()}
        assert names == {frozenset({"default", "kept"})}
        with kvorum.connect(f"kvorum://{cluster.server}?namespace=kept") as store:
            assert store.get("k") == "v"


def listed(cluster: Cluster) -> dict[str, Any]:
    nodes: dict[str, Any] = cluster.run("namespace", "list")["nodes"]
    return nodes


def test_a_directory_without_catalogs_begins_with_its_cluster_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, 2):
        pass
    for catalog in data.glob("*/catalog.json"):
        catalog.unlink()
    with (data / "cluster.toml").open("a") as file:
        file.write("\n[namespaces.declared]\nttl = 60\n")
    with running(data, 2) as cluster:
        assert [one["ttl"] for one in settings_of(cluster, "declared")] == [60, 60]


def test_a_program_changes_them_on_all_nodes(cluster: Cluster) -> None:
    with kvorum.connect(f"kvorum://{cluster.server}") as store:
        store.create_namespace("made-by-program", ttl=60)
        store.create_namespace("made-by-program", ttl=60)
        assert store.namespaces()["made-by-program"]["ttl"] == 60
        store.alter_namespace("made-by-program", ttl=0)
        assert [one["ttl"] for one in settings_of(cluster, "made-by-program")] == [0] * 3
        with pytest.raises(RequestError, match="other settings"):
            store.create_namespace("made-by-program", ttl=60)
        store.drop_namespace("made-by-program")
        assert settings_of(cluster, "made-by-program") == [None] * 3
        with pytest.raises(NamespaceNotFound):
            store.drop_namespace("made-by-program")


@pytest.mark.parametrize("name", [None, 7])
def test_a_name_that_is_no_text_is_a_wrong_request(cluster: Cluster, name: Any) -> None:
    with kvorum.connect(f"kvorum://{cluster.server}") as store:
        for change in (store.create_namespace, store.alter_namespace, store.drop_namespace):
            with pytest.raises(RequestError, match=f"a str, and not {type(name).__name__}"):
                change(name)


# Where a node fails

USUAL: Final = namespace_changes._usual("new", {}, 3)


class Nodes:
    """Three nodes that hold namespaces, the ones in `failing` until they are mended."""

    def __init__(self) -> None:
        self.namespaces: dict[str, dict[str, Any]] = {
            node: {"default": dict(USUAL)} for node in ("n1", "n2", "n3")
        }
        self.dropped: dict[str, dict[str, int]] = {}
        self.failing: dict[str, KvorumError] = {}
        self.source: str | None = None
        self.told: list[tuple[str, str]] = []

    def documents(self) -> dict[str, dict[str, Any]]:
        return {
            node: {
                "version": 1,
                "source": self.source,
                "now_ms": 5,
                "namespaces": {name: dict(one) for name, one in held.items()},
                "removals": {},
                "dropped": self.dropped.get(node, {}),
            }
            for node, held in self.namespaces.items()
        }

    async def ask(self, request: Request) -> dict[str, dict[str, Any]]:
        assert (request.method, request.path) == ("GET", "/namespaces")
        return self.documents()

    async def ask_one(self, node: str, request: Request) -> dict[str, Any]:
        body = json.loads(request.body)
        if body.get("check_only"):
            return {}
        self.told.append((node, request.method))
        if node in self.failing:
            raise self.failing[node]
        name = request.path.removeprefix("/namespaces/")
        if request.method == "DELETE":
            del self.namespaces[node][name]
        else:
            held = self.namespaces[node]
            held[name] = held.get(name, {}) | body["settings"]
        return {}


def run(change: Any) -> Any:
    return asyncio.run(change)


def test_one_that_fails_midway_is_named_and_a_repeat_ends_it() -> None:
    nodes: Any = Nodes()
    nodes.failing["n2"] = UnavailableError("it is away", outcome="unknown")
    steps: list[tuple[Callable[[], Any], str]] = [
        (lambda: namespace_changes.create(nodes, "new", {"ttl": 5}), "is as asked for"),
        (lambda: namespace_changes.alter(nodes, "new", {"ttl": 6}), "is as asked for"),
        (lambda: namespace_changes.drop(nodes, "new"), "was dropped"),
    ]
    for act, done in steps:
        failing = dict(nodes.failing)
        with pytest.raises(UnavailableError) as caught:
            run(act())
        assert f"'new' {done} on n1 and not on n2, n3 (n2: it is away)" in caught.value.message
        assert caught.value.outcome == "unknown"
        assert nodes.told[-1][0] == "n2"
        nodes.failing.clear()
        run(act())
        assert len({json.dumps(held) for held in nodes.namespaces.values()}) == 1
        nodes.failing = failing


def test_a_first_one_that_refuses_leaves_all_as_it_was() -> None:
    nodes: Any = Nodes()
    nodes.failing["n1"] = RequestError("no")
    with pytest.raises(RequestError, match="n1: no"):
        run(namespace_changes.create(nodes, "new", {}))
    assert nodes.told == [("n1", "PUT")]


def test_a_node_that_lost_its_disk_gets_its_namespaces_again_one_by_one() -> None:
    nodes: Any = Nodes()
    for name, ttl in (("aa", 5), ("bb", 6)):
        for node in ("n1", "n2"):
            nodes.namespaces[node][name] = {**USUAL, "ttl": ttl}
    with pytest.raises(RequestError, match="other settings on n1"):
        run(namespace_changes.create(nodes, "aa", {"ttl": 7}))
    run(namespace_changes.create(nodes, "aa", {}))
    assert namespace_changes.differences(nodes.documents()) == ["bb"]
    assert nodes.namespaces["n3"]["aa"]["ttl"] == 5
    run(namespace_changes.alter(nodes, "aa", {"write": 1}))
    run(namespace_changes.create(nodes, "bb", {"ttl": 6}))
    assert namespace_changes.differences(nodes.documents()) == []


def test_one_that_was_dropped_on_some_nodes_only_is_not_made_again(cluster: Cluster) -> None:
    cluster.run("namespace", "create", "half")
    with kvorum.connect(f"kvorum://{cluster.server}?namespace=half") as store:
        store.set_many({f"k{n}": "old" for n in range(30)})
        for server in servers(cluster)[:2]:
            urlopen(HttpRequest(f"http://{server}/namespaces/half", method="DELETE")).close()
        said = refused(cluster, ExitCode.USAGE, "create", "half", "--ttl", "9")
        assert "Namespace 'half' was dropped on n1 and n2, and not on n3." in said
        assert "'kvorum namespace drop half'" in said
        with pytest.raises(RequestError, match="was dropped on n1 and n2"):
            store.create_namespace("half")
        cluster.run("namespace", "drop", "half", "--yes")
        cluster.run("namespace", "create", "half")
        assert list(store.scan()) == []


def test_a_drop_that_all_nodes_have_heard_of_keeps_nobody_from_making_it() -> None:
    nodes: Any = Nodes()
    for node in nodes.namespaces:
        nodes.dropped[node] = {"new": 4}
    nodes.namespaces["n1"]["new"] = dict(USUAL)
    run(namespace_changes.create(nodes, "new", {}))
    nodes.dropped["n2"] = {}  # It lost its disk.
    del nodes.namespaces["n2"]["new"]
    run(namespace_changes.create(nodes, "new", {}))
    assert namespace_changes.differences(nodes.documents()) == []


@pytest.mark.parametrize("away", ["n1", "n2", "n3"])
def test_one_that_nodes_dropped_at_different_times_is_made_by_a_repeat(away: str) -> None:
    nodes: Any = Nodes()
    nodes.dropped = {"n1": {"new": 3}, "n2": {"new": 9}, "n3": {"new": 5}}
    nodes.failing[away] = UnavailableError("it is away", outcome="unknown")
    with pytest.raises(UnavailableError):
        run(namespace_changes.create(nodes, "new", {}))
    nodes.failing.clear()
    run(namespace_changes.create(nodes, "new", {}))
    assert namespace_changes.differences(nodes.documents()) == []


def test_nodes_that_have_it_with_different_settings_do_not_say_how_others_make_it() -> None:
    nodes: Any = Nodes()
    nodes.namespaces["n1"]["aa"] = {**USUAL, "ttl": 5}
    nodes.namespaces["n2"]["aa"] = dict(USUAL)
    with pytest.raises(RequestError, match="do not agree on 'ttl' of namespace 'aa'"):
        run(namespace_changes.create(nodes, "aa", {}))
    assert nodes.told == []


def test_an_alteration_that_leaves_nodes_with_different_settings_is_refused() -> None:
    nodes: Any = Nodes()
    nodes.namespaces["n3"]["default"]["ttl"] = 9
    with pytest.raises(RequestError, match="'ttl' of namespace 'default': it is 9 on n3"):
        run(namespace_changes.alter(nodes, "default", {"write": 1}))
    run(namespace_changes.alter(nodes, "default", {"write": 1, "ttl": 0}))
    assert namespace_changes.differences(nodes.documents()) == []


def test_where_a_cluster_file_rules_it_is_named() -> None:
    nodes: Any = Nodes()
    nodes.source = "/etc/kvorum/cluster.toml"
    for change in (
        namespace_changes.create(nodes, "new", {}),
        namespace_changes.alter(nodes, "default", {"ttl": 1}),
        namespace_changes.drop(nodes, "default"),
    ):
        with pytest.raises(RequestError, match=r"/etc/kvorum/cluster\.toml.*SIGHUP"):
            run(change)
    assert nodes.told == []


def test_clocks_that_differ_by_much_drop_nothing() -> None:
    nodes = Nodes()
    documents = nodes.documents()
    documents["n2"]["now_ms"] += namespace_changes.CLOCKS_APART_MS + 1
    with pytest.raises(UnavailableError, match="The clocks of the nodes are"):
        namespace_changes.agreed_moment(documents)
