"""Checks of single fields that people write. The caller puts the field's name before the
message.
"""

from __future__ import annotations

import re
from typing import Final

from kvorum.model.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_range(value: float, low: float, high: float) -> None:
    """Raises ConfigError unless low <= value <= high."""
    # Written so that NaN is out of range too.
    if not low <= value <= high:
        raise ConfigError(f"{value!r} is not between {low} and {high}.")


def check_choice(value: str, choices: tuple[str, ...]) -> None:
    """Raises ConfigError unless `value` is among `choices`."""
    if value not in choices:
        raise ConfigError(f"{value!r} is not one of {', '.join(choices)}.")


def check_name(name: str) -> None:
    """Raises ConfigError unless `name` is a name of a cluster, node, rack and so on."""
    if not _NAME.fullmatch(name):
        raise bad_name(name)


def bad_name(name: str) -> ConfigError:
    """The error for a name that is none."""
    return ConfigError(
        f"{name!r} is no name. A name is 1 to 64 of A-Z a-z 0-9 _ . -, a letter or digit first."
    )
