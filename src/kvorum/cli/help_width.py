"""How wide --help is: as wide as the terminal that somebody looks at, also behind a pager.

COLUMNS comes first, as everywhere. Then the terminal is asked of whichever of stdout, stderr and
stdin is one: with 'kvorum --help | less' stdout is a pipe, and the others are not.
"""

from __future__ import annotations

import os
from typing import Final

WIDTH_MAX: Final = 100
_WIDTH_MIN: Final = 32
_WITHOUT_TERMINAL: Final = 80
_MARGIN: Final = 2
_DESCRIPTORS: Final = (1, 2, 0)


def help_width() -> int:
    """In characters, and at most WIDTH_MAX, beyond which lines are hard to read."""
    columns = _columns_asked() or _columns_of_terminal() or _WITHOUT_TERMINAL
    return max(min(columns, WIDTH_MAX) - _MARGIN, _WIDTH_MIN)


def _columns_asked() -> int:
    """0 if COLUMNS does not say."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0


def _columns_of_terminal() -> int:
    """0 if there is none."""
    for descriptor in _DESCRIPTORS:
        try:
            columns = os.get_terminal_size(descriptor).columns
        except OSError:  # no terminal, or closed
            continue
        if columns:
            return columns
    return 0
