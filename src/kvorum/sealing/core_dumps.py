"""No core dumps: a dump of a node's memory holds its keys and its values in plain.

The kernel's limit on the size of a core file does not bind a program that core dumps are piped
to (core(5)), with one exception: a limit of exactly 1 byte stops both, the pipe because the
kernel reserves that value for "never", and the file because it is less than a page.
"""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Disable core dumps of this process. A program that embeds a store decides for itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if hard == 0 else 1, hard))
