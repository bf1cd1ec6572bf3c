"""Durations on the command line: seconds, whole or not."""

from __future__ import annotations

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """A finite number of them."""

    def __init__(self, *, zero: bool = False) -> None:
        """`zero`: may there be none?"""
        super().__init__(min=0, min_open=not zero)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = float(click.FLOAT.convert(value, param, ctx))
        if not math.isfinite(seconds) or seconds < 0 or (self.min_open and seconds == 0):
            least = "more than 0 seconds" if self.min_open else "0 seconds or more"
            self.fail(f"{value} is no time span: {least} are possible", param, ctx)
        return seconds
