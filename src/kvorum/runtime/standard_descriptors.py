"""The descriptors 0 to 2 (stdin, stdout, stderr), which a process may have been started without.

The system gives a new file the lowest number that is free. What is opened while one of these is
closed becomes the process's stdin, stdout or stderr: a `print` goes into a socket or into a data
file, and uvloop's library ends the process when it is to close such a number. So they are filled
with the null device before anything else is opened, as daemons and databases commonly do.
"""

from __future__ import annotations

import os
from typing import Final

_STANDARD: Final = range(3)


def fill_standard_descriptors() -> None:
    """Open the null device as each of them that is closed. Raises OSError if there is none."""
    while not all(map(_is_open, _STANDARD)):
        # The lowest free number, so one of them. Like the others it is there for child processes.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
