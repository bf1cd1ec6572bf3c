"""What commands about certificates have in common: their options, and how they show what they
issued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kvorum.certificates.authority import DAYS_MAX, Issued
from kvorum.cli.output import note, print_result
from kvorum.cli.parameter_types import NonEmptyPath

_Command = TypeVar("_Command", bound=Callable[..., Any])

directory_option: Final = click.option(
    "--dir",
    "directory",
    type=NonEmptyPath(file_okay=False, path_type=Path),
    default=Path("certs"),
    metavar="DIR",
    help="The directory of certificates.",
)


def days_option(meaning: str) -> Callable[[_Command], _Command]:
    """--days, which is None if it is not given."""
    return click.option("--days", type=click.IntRange(1, DAYS_MAX), metavar="DAYS", help=meaning)


def print_issued(
    output: str,
    issued: Sequence[Issued],
    replaced: Sequence[str] = (),
    more: dict[str, object] | None = None,
) -> None:
    """A table, or JSON with `more`. `replaced`: the numbers of those that they take the place
    of, one each."""
    olds = [*replaced, *[""] * (len(issued) - len(replaced))]
    pairs = list(zip(issued, olds, strict=True))
    columns = ["name", "kind", "expires", "hosts", "files", "serial"]
    rows = [_row(one) for one in issued]
    if replaced:
        columns.append("replaces")
        rows = [(*row, old) for row, (_, old) in zip(rows, pairs, strict=True)]
    document = {"certificates": [_document(one, old) for one, old in pairs]}
    print_result(output, {**document, **(more or {})}, "issued", columns, rows)
    capped = [one.certified.name for one in issued if one.capped]
    if capped:
        note(
            f"{', '.join(capped)}: expires earlier than asked for, with the authority. 'kvorum "
            "certs rotate --authority' makes a new one",
            as_json=output == "json",
        )


def ms_of(moment: datetime | None) -> int | None:
    """In ms since 1970."""
    return None if moment is None else int(moment.timestamp() * 1000)


def _row(one: Issued) -> tuple[object, ...]:
    return (
        one.certified.name,
        one.certified.kind,
        f"{one.expires:%Y-%m-%d}",
        ", ".join(one.hosts),
        f"{one.certificate.name}, {one.key.name}",
        one.certified.serial,
    )


def _document(one: Issued, replaced: str) -> dict[str, object]:
    document: dict[str, object] = {
        "name": one.certified.name,
        "kind": one.certified.kind,
        "serial": one.certified.serial,
        "hosts": list(one.hosts),
        "expires_ms": ms_of(one.expires),
        "certificate": str(one.certificate),
        "key": str(one.key),
    }
    return {**document, "replaces": replaced} if replaced else document
