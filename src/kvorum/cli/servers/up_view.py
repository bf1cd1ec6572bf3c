"""How `kvorum up` is shown: one view for programs, one for logs, one for people.

JsonView   an object for each event
LineView   a line for each change, where stdout is no terminal
LiveView   the same lines, and below them a table that is kept up to date
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import click
import msgspec

from kvorum.devcluster.events import ClusterReady, Died, Event, Ready, Said, Starting, Stopped


class View(Protocol):
    """What shows the events of a cluster."""

    def hear(self, event: Event) -> None: ...

    def shown(self) -> AbstractContextManager[object]:
        """The time in which it has the terminal."""

    async def keep_current(self) -> None:
        """Show what changes without an event; may run for ever."""


class _Lines:
    """A view that writes line after line, and keeps none of them current."""

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    async def keep_current(self) -> None: ...


class JsonView(_Lines):
    """The view for programs: each event as one line of JSON."""

    def hear(self, event: Event) -> None:
        click.echo(msgspec.json.encode(event))


class Teller:
    """Makes a line of an event. While the cluster starts, a node's line is left out if another node
    has said the same: all have the same settings, and fail for the same reason."""

    def __init__(self) -> None:
        self._started = False
        self._said: set[str] = set()

    def line_of(self, event: Event) -> str | None:
        if isinstance(event, ClusterReady):
            self._started = True
        if isinstance(event, Said) and not self._started:
            said = _of_any_node(event.node, event.line)
            if said in self._said:
                return None
            self._said.add(said)
        if isinstance(event, Stopped) and self._has_said(event):
            return f"{event.node} stopped, not cleanly"
        return _line_of(event)

    def _has_said(self, event: Stopped) -> bool:
        return _of_any_node(event.node, f"error: {event.reason}") in self._said


def _of_any_node(node: str, line: str) -> str:
    """The same for all nodes that say the same of themselves."""
    return line.replace(node, "")


class LineView(_Lines):
    """The view for logs: each event that matters to people as one line."""

    def __init__(self) -> None:
        self._teller = Teller()

    def hear(self, event: Event) -> None:
        if (line := self._teller.line_of(event)) is not None:
            click.echo(line)


def _line_of(event: Event) -> str | None:
    match event:
        case Starting():
            return None
        case Ready():
            return (
                f"{event.node} ready: http://{event.http}, peers {event.peer}, pid {event.pid}, "
                f"after {event.seconds:.1f} s"
            )
        case ClusterReady():
            return f"cluster ready after {event.seconds:.1f} s: {event.url} (Ctrl-C stops it)"
        case Said():
            return f"{event.node} | {event.line}"
        case Died():
            return (
                f"{event.node} is gone: pid {event.pid}, {event.reason}; "
                f"starting it again in {event.restart_s:g} s"
            )
        case Stopped():
            return f"{event.node} stopped{'' if event.clean else f', not cleanly: {event.reason}'}"
