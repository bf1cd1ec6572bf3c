"""SIGHUP to a member of a cluster file: the file is read again, and its namespaces are taken over.

Each change is a line of the log. If the file cannot be read, or says anything else anew that a
running node cannot change, that is one line, and nothing is changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kvorum.model.errors import KvorumError
from kvorum.model.topology import Topology
from kvorum.node.node import Node

_LOG: Final = logging.getLogger(__name__)


class Reload:
    """Of the cluster file `path`, which `read()` reads, at `node`."""

    def __init__(self, node: Node, path: Path, read: Callable[[], Topology]) -> None:
        self._node = node
        self._path = path
        self._read = read
        self._has_started = False
        self._was_asked = False

    def ask(self) -> None:
        """Now, or as soon as the node has started."""
        self._was_asked = True
        if self._has_started:
            self._take_over()

    def started(self) -> None:
        self._has_started = True
        if self._was_asked:
            self._take_over()

    def _take_over(self) -> None:
        try:
            changes = self._node.declare(self._read())
        except KvorumError as error:
            _LOG.error("%s; nothing was changed", self._named(error.message).rstrip("."))
            return
        for change in changes or ["nothing in it has changed"]:
            _LOG.info("%s: %s", self._path, change)

    def _named(self, message: str) -> str:
        path = str(self._path)
        return message if message.startswith(path) else f"{path}: {message}"
