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

from kvorum.local.events import ClusterReady, Died, Event, Ready, Said, Starting, Stopped


class View(Protocol):
    def hear(self, event: Event) -> None: ...

    def shown(self) -> AbstractContextManager[object]:
        """The time in which it has the terminal."""

    async def keep_current(self) -> None:
        """Show what changes without an event; may run for ever."""


class JsonView:
    def hear(self, event: Event) -> None:
        click.echo(msgspec.json.encode(event))

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    async def keep_current(self) -> None: ...


class LineView:
    def hear(self, event: Event) -> None:
        if (line := line_of(event)) is not None:
            click.echo(line)

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    async def keep_current(self) -> None: ...


def line_of(event: Event) -> str | None:
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
                f"{event.node} died: pid {event.pid}, {event.reason}; "
                f"starting it again in {event.restart_s:g} s"
            )
        case Stopped():
            return f"{event.node} stopped{'' if event.clean else f', not cleanly: {event.reason}'}"
