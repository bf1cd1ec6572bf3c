"""Showing how far bulk work is, saving its position, and saying how to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from kvorum.cli.bulk.items import Place, Reject
from kvorum.cli.bulk.pipeline import Progress
from kvorum.cli.bulk.position import PositionFile
from kvorum.cli.errors import NEXT_STEP, Interrupted
from kvorum.cli.output import note
from kvorum.cli.progress import Bar
from kvorum.model.errors import KvorumError

SAVE_EVERY_S: Final = 1.0
"""How much work is repeated at most when a killed command is resumed, in seconds."""


class Watch:
    """Follows the work behind `done`. `position` is None if the source cannot be read again."""

    def __init__(
        self,
        done: Progress,
        bar: Bar,
        steps: Callable[[Place], int],
        on_reject: Callable[[Reject], None],
        position: PositionFile | None,
        *,
        as_json: bool,
    ) -> None:
        self.done = done
        self.position = position
        self.on_reject = on_reject
        self._bar = bar
        self._steps = steps
        self._as_json = as_json
        self._saved_at = float("-inf")

    def on_progress(self, done: Progress) -> None:
        """Show it, and save it if that is due. Raises ConfigError if it cannot be saved."""
        self.done = done
        self._bar.show(self._steps(done.place), done.stored)
        if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
            self._save()

    def interrupted(self, error: BaseException) -> None:
        """Save the position, and say what is done and how to go on: in `error` if it is told to the
        user."""
        if self.done.place.line == 0:
            return
        if self.position is None:
            step = f"the first {self.done.place.line} lines are done; repeating them does no harm"
        else:
            self._save()
            lines = f"{self.done.place.line} {self.position.unit}"
            step = f"{lines} are done, and --resume goes on behind them"
        if isinstance(error, KvorumError):
            error.details[NEXT_STEP] = step
        elif isinstance(error, KeyboardInterrupt | Interrupted):
            note(step, self._as_json)

    def _save(self) -> None:
        if self.position is not None:
            self.position.save(self.done)
            self._saved_at = time.monotonic()
