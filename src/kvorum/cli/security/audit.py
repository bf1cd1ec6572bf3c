"""`kvorum audit`: verify the audit log of a node, and look at its last entries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from kvorum.audit.chain import HASH, Link
from kvorum.audit.files import directory_of_log
from kvorum.audit.reading import Sealed, Wanted, following, last_entries
from kvorum.audit.verification import Verdict, log_bytes, verify
from kvorum.cli.errors import ExitCode
from kvorum.cli.output import output_option, print_json, printable
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.progress import progress_bar
from kvorum.model.errors import StorageError

_LOOK_EVERY_S: Final = 0.2

_directory: Final = click.argument(
    "directory", type=NonEmptyPath(exists=True, file_okay=False, path_type=Path)
)


class Noted(click.types.StringParamType):
    """The number of an entry and its hash, as `kvorum audit verify` prints them."""

    name = "n:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number, _, digest = str(value).partition(":")
        if not (
            number.isascii() and number.isdigit() and int(number) > 0 and HASH.fullmatch(digest)
        ):
            self.fail(
                f"{value!r} is no entry's number and hash. Give them as 'kvorum audit verify' "
                "printed them, as in 120:9f86d0...",
                param,
                ctx,
            )
        return Link(int(number), digest)


@click.group()
def audit() -> None:
    """Verify the audit log of a node, and look at it."""


@audit.command(name="verify")
@_directory
@click.option(
    "--expect",
    "expected",
    type=Noted(),
    multiple=True,
    metavar="N:HASH",
    help="An entry's number and hash that an earlier verification printed. Repeatable.",
)
@output_option
@click.pass_context
def verify_log(
    ctx: click.Context, directory: Path, expected: tuple[Link, ...], output: str
) -> None:
    """Verify that no entry of an audit log was changed, removed, inserted or moved.

    DIRECTORY is the data directory of a node, or the directory 'audit' in there. The node may run.
    The exit status is 1 if something is wrong, and the first such line is named.

    Who can write the files can make the whole chain anew from some entry on, or cut off its end.
    So note the last number and hash elsewhere, and give them to a later verification.

    \b
    kvorum audit verify /var/lib/kvorum
    kvorum audit verify /var/lib/kvorum --expect 120:9f86d081884c7d65...
    """
    found = directory_of_log(directory)
    with _reading(found), progress_bar("verifying", log_bytes(found)) as bar:
        verdict = verify(found, expected, bar.show)
    if output == "json":
        print_json(_document(found, verdict))
    else:
        for line in _sentences(found, verdict):
            click.echo(printable(line))
    if verdict.problem is not None:
        ctx.exit(ExitCode.NOT_FOUND)


@audit.command()
@_directory
@click.option("-n", "count", type=click.IntRange(min=0), default=20, help="How many entries.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--name", help="Those of this principal.")
@click.option("--action", help="Those of this action, as 'set_namespace' or 'login'.")
@click.option("--refused", is_flag=True, help="Those that were refused or failed.")
@output_option
def tail(
    directory: Path,
    count: int,
    follow: bool,
    name: str | None,
    action: str | None,
    refused: bool,
    output: str,
) -> None:
    """Print the last entries of an audit log.

    DIRECTORY is the data directory of a node, or the directory 'audit' in there. A line shows the
    time, the outcome, who it was and from where, the action, and what it was about. With -o json
    each entry is printed as it is in the log.

    \b
    kvorum audit tail /var/lib/kvorum -n 50
    kvorum audit tail /var/lib/kvorum --refused --follow
    """
    found = directory_of_log(directory)
    wanted = Wanted(name=name, action=action, refused=refused)
    show = print_json if output == "json" else _print_line
    with _reading(found):
        newest = last_entries(found, 1, Wanted())
        for entry in last_entries(found, count, wanted):
            show(entry)
        if follow:
            behind = newest[0].n if newest else 0
            for entry in following(found, behind, wanted, lambda: time.sleep(_LOOK_EVERY_S)):
                show(entry)


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(
            f"The audit log in {directory} cannot be read: {error}. Run this as the user that the "
            "node runs as, or mend the disk."
        ) from error


def _sentences(directory: Path, verdict: Verdict) -> Iterator[str]:
    problem, last = verdict.problem, verdict.last
    if problem is not None:
        where = f"{directory / problem.file}" + (f", line {problem.line}" if problem.line else "")
        yield f"{problem.wrong}: {where}: {problem.message}"
        if verdict.entries:
            yield f"The entries {verdict.first.number} to {last.number} before that are whole."
        return
    yield (
        f"The audit log in {directory} is whole: entries {verdict.first.number} to {last.number}, "
        f"in {verdict.files} {'file' if verdict.files == 1 else 'files'}."
    )
    if verdict.first.number > 1:
        yield f"Rotation has removed those before entry {verdict.first.number}."
    if verdict.dropped:
        yield f"It lacks {verdict.dropped} entries that the disk did not take in time."
    if verdict.torn:
        yield f"After {verdict.torn} crashes something was kept aside that was no whole line."
    yield f"last: {last}"


def _document(directory: Path, verdict: Verdict) -> dict[str, Any]:
    problem = verdict.problem
    return {
        "whole": problem is None,
        "directory": str(directory),
        "files": verdict.files,
        "entries": verdict.entries,
        "first": verdict.first.number,
        "last": verdict.last.number,
        "hash": verdict.last.hash,
        "dropped": verdict.dropped,
        "torn": verdict.torn,
        "problem": None if problem is None else problem._asdict(),
    }


def _print_line(entry: Sealed) -> None:
    who = f"{entry.name or '-'} ({', '.join(part for part in (entry.kind, entry.source) if part)})"
    about = [
        text
        for text in (
            entry.namespace,
            entry.key if entry.key_hash is None else f"#{entry.key_hash}",
            entry.subject,
            None if entry.times == 1 else f"{entry.times} times",
            None if entry.detail is None else msgspec.json.encode(entry.detail).decode(),
        )
        if text is not None
    ]
    line = f"{entry.time}  {entry.outcome:<18}  {who:<32}  {entry.action:<16}  {'  '.join(about)}"
    click.echo(printable(line.replace("\n", "\\n").rstrip()))
