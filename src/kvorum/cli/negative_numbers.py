"""Negative numbers as arguments: `kvorum set depth -5`.

The parser takes every word that begins with '-' for an option. No option of these commands looks
like a number, so such a word is a key or a value. Any other word that begins so has to stand behind
'--', and whoever left that out is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import click

_NEGATIVE_NUMBER: Final = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class TakesNegativeNumbers(click.Command):
    """A command among whose arguments may be negative numbers."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, self._options_first(ctx, args))
        except click.NoSuchOption as error:
            if error.possibilities:
                raise
            word = next((w for w in args if w.startswith(error.option_name)), error.option_name)
            raise click.UsageError(
                f"No such option: {word}. A key or a value that begins with '-' goes behind '--', "
                f"as in '{ctx.command_path} ... -- {word}'",
                ctx,
            ) from error

    def _options_first(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """`args` with every argument behind '--', if one of them is a negative number."""
        valued = self._valued_options(ctx)
        options: list[str] = []
        arguments: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                arguments += words
            elif word in valued:
                options += [word, *(value for value in [next(words, None)] if value is not None)]
            elif word.startswith("-") and word != "-" and not _NEGATIVE_NUMBER.fullmatch(word):
                options.append(word)
            else:
                arguments.append(word)
        return [*options, "--", *arguments]

    def _valued_options(self, ctx: click.Context) -> set[str]:
        """The options that take the next word as their value."""
        every = (one for one in self.get_params(ctx) if isinstance(one, click.Option))
        return {name for one in every if not (one.is_flag or one.count) for name in one.opts}
