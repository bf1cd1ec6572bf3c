"""Asking before something is destroyed."""

from __future__ import annotations

import click

from kvorum.model.errors import PreconditionFailed


def confirm(question: str) -> None:
    """Raises PreconditionFailed unless the answer is yes, also if there is nobody to answer."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise PreconditionFailed(
            "Nothing was changed, since the answer was not yes. --yes says it without being asked."
        )
