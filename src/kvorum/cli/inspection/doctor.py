"""`kvorum doctor`: look for what is wrong with a cluster, and say what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.every_node import on_every_node
from kvorum.cli.inspection import cluster_checks, node_checks
from kvorum.cli.inspection.evidence import Evidence, gather
from kvorum.cli.inspection.finding import ORDER, Finding
from kvorum.cli.output import output_option, print_json, print_records
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.client.url import Target

FOUND_FAILURES: Final = 1

CHECKS: Final[tuple[Callable[[Evidence], Iterator[Finding]], ...]] = (
    node_checks.reachability,
    cluster_checks.views,
    cluster_checks.quorums,
    cluster_checks.clocks,
    cluster_checks.versions,
    cluster_checks.catalogs,
    node_checks.disks,
    node_checks.descriptors,
    node_checks.soundness,
    cluster_checks.hints,
    cluster_checks.comparisons,
    cluster_checks.backups,
)


@click.command()
@click.option(
    "--data-dir",
    type=NonEmptyPath(exists=True, file_okay=False, path_type=Path),
    help="The data directory of a node on this machine: its disk is measured.",
)
@asks_cluster
@output_option
@click.pass_context
def doctor(ctx: click.Context, target: Target, output: str, data_dir: Path | None) -> None:
    """Look for what is wrong with a cluster, and say what to do next.

    All nodes are asked. Each finding says how bad it is (fail, warn, ok), what was found, and which
    command to type next. The exit status is 1 if anything fails, and 0 otherwise.

    With --data-dir a small file is written there and synced some times, to measure the disk.

    \b
    kvorum doctor
    kvorum doctor --server 10.0.0.1:7400 --data-dir /var/lib/kvorum -o json
    """
    evidence = on_every_node(target, lambda nodes: gather(nodes, data_dir))
    findings = examined(evidence)
    failures = sum(finding.level == "fail" for finding in findings)
    if output == "json":
        print_json({"failures": failures, "findings": findings})
    else:
        _print(findings, failures)
    if failures:
        ctx.exit(FOUND_FAILURES)


def examined(evidence: Evidence) -> list[Finding]:
    """What all checks have found, the worst first."""
    found = [finding for check in CHECKS for finding in check(evidence)]
    return sorted(found, key=lambda finding: ORDER[finding.level])


def _print(findings: list[Finding], failures: int) -> None:
    warnings = sum(finding.level == "warn" for finding in findings)
    print_records(
        f"{failures} failures, {warnings} warnings",
        [
            {
                "": finding.level,
                "check": finding.check,
                "found": finding.what,
                "next": finding.next,
            }
            for finding in findings
        ],
    )
