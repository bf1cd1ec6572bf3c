"""The options of commands that store what they read: for long, and in the face of failures."""

from __future__ import annotations

from typing import Final

import click

from kvorum.cli.parameter_types import Seconds

give_up_after_option: Final = click.option(
    "--give-up-after",
    type=Seconds(zero=True),
    default=60.0,
    metavar="SECONDS",
    help="How long to try again while nothing succeeds.",
)
