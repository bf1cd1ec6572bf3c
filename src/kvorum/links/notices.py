"""Notices: log lines about a lasting condition, said once until the condition is over.

A node that is refused or down is tried again and again; the log should say so once.
"""

from __future__ import annotations

from typing import Final

from kvorum.links.log import Log

_SUBJECTS_MAX: Final = 256
_TEXTS_MAX: Final = 8


class Notices:
    """Logs each text about a subject once, until the subject is over."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._said: dict[str, set[str]] = {}

    def say(self, subject: str, text: str) -> None:
        """Log `text` about `subject`, unless that has been said already."""
        if subject not in self._said and len(self._said) >= _SUBJECTS_MAX:
            self._said.clear()
        texts = self._said.setdefault(subject, set())
        if text in texts:
            return
        if len(texts) >= _TEXTS_MAX:
            texts.clear()
        texts.add(text)
        self._log.warning("%s", text)

    def over(self, subject: str) -> None:
        """Whatever was said about `subject` no longer holds."""
        self._said.pop(subject, None)
