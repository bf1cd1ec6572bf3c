"""Hunt the planted bugs: are the simulator and the tests able to find what they are there to find?

    python tests/planted/hunt.py                       # all bugs; exit code 1 if one escapes
    python tests/planted/hunt.py --bug tally-one-short # one of them

Each bug is put into a copy of the package, and the simulator is run from that copy, in a
process of its own, until a check fails. That a seed fails says nothing if it fails without the
bug too: so the same seeds are run on a copy without any, and all of them must pass. What the
simulator does not run, such as sockets, is hunted by the tests that a bug names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from bugs import BUGS, Bug
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from kvorum.cli.output import print_table

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "kvorum"
_TESTS_S_MAX = 300
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider")
_RUN_SEEDS = Path(__file__).with_name("run_seeds.py")


@dataclass(frozen=True, slots=True)
class Catch:
    """The first failed check of a run. `seed`: None of one that a test found."""

    seed: int | None
    check: str
    message: str


class BrokenRun(Exception):
    """The simulator itself ended before it had run all seeds."""


def first_failure(bug: Bug | None, seeds: int) -> Iterator[Catch | None]:
    """For each seed in turn what fails on a package with `bug` in it; ends at the first."""
    with _package(bug) as package, _simulator(package, seeds) as process:
        assert process.stdout is not None
        seed = -1
        for seed, line in enumerate(process.stdout):
            violations = json.loads(line)
            if violations:
                check, _, message = violations[0].partition(": ")
                yield Catch(seed, check, message)
                return
            yield None
        if seed + 1 < seeds:
            name = "the unchanged package" if bug is None else bug.name
            raise BrokenRun(f"The run of {name} ended after {seed + 1} of {seeds} seeds.")


def failed_tests(bug: Bug) -> Catch | None:
    """What fails of the tests that `bug` names, on a package with the bug in it."""
    with _package(bug) as package:
        run = subprocess.run(
            [*_PYTEST, str(TESTS / bug.caught_by)],
            capture_output=True,
            text=True,
            env=_environment(package),
            cwd=TESTS.parent,
            timeout=_TESTS_S_MAX,
            check=False,
        )
    failed = re.findall(r"^FAILED (\S+)", run.stdout, re.MULTILINE)
    if run.returncode not in (0, 1) or (run.returncode == 1 and not failed):
        raise BrokenRun(f"The tests of {bug.name} could not be run:\n{run.stdout}{run.stderr}")
    return Catch(None, f"tests/{bug.caught_by}", failed[0]) if failed else None


@contextmanager
def _package(bug: Bug | None) -> Iterator[Path]:
    """A copy of the package, without compiled files, with `bug` in it."""
    with TemporaryDirectory(prefix="kvorum-planted-") as directory:
        package = Path(directory, "kvorum")
        shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
        if bug is not None:
            file = package / bug.file
            file.write_text(bug.plant(file.read_text()))
        yield package


@contextmanager
def _simulator(package: Path, seeds: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(_RUN_SEEDS), str(package), str(seeds)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=_environment(package), cwd=package.parent
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _environment(package: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}


class Hunt:
    """All bugs of one call, some at a time, with a bar for each that is under way."""

    def __init__(self, bugs: Sequence[Bug], seeds: int | None, progress: Progress) -> None:
        self.catches: dict[str, Catch | None] = {}
        self._bugs = bugs
        self._seeds = seeds
        self._progress = progress

    def run(self, jobs: int) -> Catch | None:
        """Hunt them all; returns what fails without any bug, on the seeds that were run."""
        whole = self._progress.add_task("bugs", total=len(self._bugs))
        with ThreadPoolExecutor(jobs) as workers:
            tasks = {workers.submit(self._hunt, bug): bug for bug in self._bugs}
            for task in as_completed(tasks):
                self.catches[tasks[task].name] = task.result()
                self._progress.advance(whole)
        catches = (catch for catch in self.catches.values() if catch is not None)
        caught = [catch.seed for catch in catches if catch.seed is not None]
        return self._watch(None, "no bug", 1 + max(caught, default=-1))

    def _hunt(self, bug: Bug) -> Catch | None:
        if bug.caught_by:
            return failed_tests(bug)
        return self._watch(bug, bug.name, self._seeds or bug.seeds)

    def _watch(self, bug: Bug | None, name: str, seeds: int) -> Catch | None:
        bar: TaskID = self._progress.add_task(name, total=seeds)
        found = None
        for found in first_failure(bug, seeds):  # noqa: B007 - the last one is what counts
            self._progress.advance(bar)
        self._progress.remove_task(bar)
        return found


@click.command()
@click.option("--bug", "names", multiple=True, metavar="NAME", help="Only this; repeatable.")
@click.option("--seeds", type=click.IntRange(min=1), help="For each.  [default: its own number]")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Choice(("table", "json", "markdown")),
    default="table",
    show_default=True,
)
@click.pass_context
def main(
    ctx: click.Context, names: tuple[str, ...], seeds: int | None, jobs: int, output: str
) -> None:
    """Plant each bug in a copy of kvorum and have the simulator find it.

    Bugs that it is not expected to find yet are hunted only if they are named.

    Ends with exit code 1 if a bug is not caught, or if the unchanged source fails a check.
    """
    bugs = _chosen(names)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        hunt = Hunt(bugs, seeds, progress)
        unplanted = hunt.run(jobs)
    _WRITERS[output](bugs, hunt.catches)
    escaped = [name for name, catch in hunt.catches.items() if catch is None]
    for name in escaped:
        click.echo(f"{name} escaped: no check has failed.", err=True)
    if unplanted is not None:
        click.echo(
            f"Seed {unplanted.seed} fails without a bug: {unplanted.check}: {unplanted.message}. "
            "Mend that first.",
            err=True,
        )
    if escaped or unplanted is not None:
        ctx.exit(1)


def _chosen(names: tuple[str, ...]) -> list[Bug]:
    known = {bug.name: bug for bug in BUGS}
    unknown = set(names) - set(known)
    if unknown:
        raise click.BadParameter(f"No such bugs: {sorted(unknown)}. There are {sorted(known)}.")
    if names:
        return [known[name] for name in names]
    return [bug for bug in BUGS if not bug.missed]


def _write_table(bugs: Sequence[Bug], catches: dict[str, Catch | None]) -> None:
    rows = []
    for bug in bugs:
        catch = catches[bug.name]
        found = ("none", "") if catch is None else (catch.check, _at(catch))
        rows.append((bug.name, bug.breaks, *found, str(bug.seeds)))
    print_table("planted bugs", ("bug", "breaks", "caught by", "#at seed", "#within"), rows)


def _write_json(bugs: Sequence[Bug], catches: dict[str, Catch | None]) -> None:
    found = []
    for bug in bugs:
        catch = catches[bug.name]
        found.append(
            {
                "bug": bug.name,
                "breaks": bug.breaks,
                "file": bug.file,
                "seeds": bug.seeds,
                "caught": None if catch is None else asdict(catch),
            }
        )
    click.echo(json.dumps(found))


def _write_markdown(bugs: Sequence[Bug], catches: dict[str, Catch | None]) -> None:
    click.echo("| bug | what it breaks | caught by | at seed | within |")
    click.echo("|---|---|---|---|---|")
    for bug in bugs:
        catch = catches[bug.name]
        check, seed = ("none", "") if catch is None else (f"`{catch.check}`", _at(catch))
        click.echo(f"| {bug.name} | {bug.breaks} | {check} | {seed} | {bug.seeds} |")


def _at(catch: Catch) -> str:
    return "" if catch.seed is None else str(catch.seed)


_WRITERS = {"table": _write_table, "json": _write_json, "markdown": _write_markdown}


if __name__ == "__main__":
    main()
