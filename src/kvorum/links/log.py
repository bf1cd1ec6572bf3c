"""What links tell people, as a port: a `logging.Logger` fits it. A node that is refused or down is
tried again and again, so most of it goes through `notices.py`.
"""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """`text` is a format for `args`, as in the standard library."""

    def debug(self, text: str, /, *args: object) -> None: ...

    def info(self, text: str, /, *args: object) -> None: ...

    def warning(self, text: str, /, *args: object) -> None: ...
