"""The metrics of a running node, and what relies on their names: the dashboard, alerts, docs."""

from __future__ import annotations

import http.client
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from kit.running_cluster import Cluster, running
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

import kvorum
from kvorum.metrics.exposition import METRICS
from kvorum.model.errors import NotFound

ROOT: Final = Path(__file__).parents[2]
NAME: Final = re.compile(r"\b(?:kvorum|process)_[a-z0-9_]+\b")
SUFFIX: Final = re.compile(r"_(?:bucket|count|sum)$")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster"), 2) as cluster:
        # Until the nodes are linked, what is asked of them fails; the client asks again.
        cluster.fill({"first": 1})
        cluster.entries()
        yield cluster


def scraped(cluster: Cluster) -> dict[str, Metric]:
    with urllib.request.urlopen(f"http://{cluster.server}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = response.read().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "one is told twice"
    return {family.name: family for family in families}


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    return sum(
        each.value
        for family in families.values()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    )


def requests(families: dict[str, Metric], operation: str, outcome: str) -> float:
    name = "kvorum_request_duration_seconds_count"
    return value(families, name, operation=operation, outcome=outcome)


def test_a_node_tells_all_its_metrics(cluster: Cluster) -> None:
    families = scraped(cluster)
    told = {name for name in families if name.startswith("kvorum_")}
    assert told == {metric.full_name.removesuffix("_total") for metric in METRICS}
    for metric in METRICS:
        family = families[metric.full_name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample


def test_requests_are_counted_by_operation_and_outcome(cluster: Cluster) -> None:
    with kvorum.connect(f"kvorum://{cluster.server}") as store:
        before = scraped(cluster)
        for _ in range(3):
            cluster_put(cluster, "apple")
        cluster_get(cluster, "apple", 200)
        cluster_get(cluster, "none", 404)
        store.set_many({"one": 1, "two": 2})
    after = scraped(cluster)

    def more(operation: str, outcome: str) -> float:
        return requests(after, operation, outcome) - requests(before, operation, outcome)

    assert more("put", "ok") == 3
    assert more("get", "ok") == 1
    assert more("get", "not_found") == 1
    errors = value(after, "kvorum_request_errors_total", operation="get", code=NotFound.code)
    assert errors == requests(after, "get", "not_found")
    assert value(after, "kvorum_responses_total") > value(before, "kvorum_responses_total") + 4
    syncs = "kvorum_journal_sync_duration_seconds_count"
    assert value(after, syncs) > value(before, syncs)


def cluster_put(cluster: Cluster, key: str) -> None:
    body = json.dumps({"key": key, "value": "red"}).encode()
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{cluster.server}/entry", body, head)
    with urllib.request.urlopen(request):
        pass


def cluster_get(cluster: Cluster, key: str, status: int) -> None:
    client = http.client.HTTPConnection(cluster.server)
    client.request("GET", f"/entry/{key}")
    assert client.getresponse().status == status
    client.close()


def test_a_node_knows_the_other_one(cluster: Cluster) -> None:
    families = scraped(cluster)
    assert value(families, "kvorum_node_up", node="n2") == 1
    assert value(families, "kvorum_node_state", node="n2") == 1
    assert value(families, "kvorum_link_sent_bytes_total") > 0
    assert value(families, "kvorum_disk_size_bytes") > value(families, "kvorum_disk_free_bytes") > 0
    assert value(families, "process_open_fds") > 0


def names_in(text: str) -> set[str]:
    return {SUFFIX.sub("", name) for name in NAME.findall(text)}


def expressions(dashboard: Any) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        yield json.dumps(variable["query"])


def test_the_dashboard_asks_for_metrics_that_a_node_tells(cluster: Cluster) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/kvorum.json").read_text())
    used = names_in("\n".join(expressions(dashboard)))
    assert len(used) > 20
    assert used - sample_names(scraped(cluster)) == set()


def test_the_alerts_ask_for_metrics_that_a_node_tells(cluster: Cluster) -> None:
    rules = (ROOT / "deploy/prometheus/kvorum.rules.yml").read_text()
    used = names_in(rules)
    assert len(used) > 10
    assert used - sample_names(scraped(cluster)) == set()


def sample_names(families: dict[str, Metric]) -> set[str]:
    return {
        f"{name}_total" if family.type == "counter" else name for name, family in families.items()
    }


def test_the_docs_list_every_metric_and_every_alert() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(kvorum_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    told = {
        (metric.full_name, metric.kind, ", ".join(metric.labels), metric.help) for metric in METRICS
    }
    assert set(rows) == told
    assert len(rows) == len(told)
    rules = (ROOT / "deploy/prometheus/kvorum.rules.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert re.findall(r"^\| `(Kvorum\w+)` \|", page, re.MULTILINE) == alerts
