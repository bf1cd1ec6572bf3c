"""What a listing leaves out, because it is damaged on too many nodes."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kvorum.cli.errors import Incomplete, one_line
from kvorum.client.listing import described, documents
from kvorum.model.request import Unreadable


def refuse_unreadable(unreadable: Sequence[Unreadable], done: str, *, as_json: bool) -> None:
    """Name what is left out, each on a line of stderr, if there is any, and raise Incomplete.
    `done`: what has been done with all else, as in 'listed'."""
    if not unreadable:
        return
    if not as_json:
        for one in unreadable:
            click.echo(one_line(f"not {done}: {described(one)}"), err=True)
    raise Incomplete(
        f"{len(unreadable)} damaged records could not be read and are not {done}; see 'kvorum "
        "status', and overwrite or delete them, or restore a snapshot.",
        unreadable=documents(unreadable),
    )
