"""What `repr` shows of an entry: the fields that say something, and long values shortened."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, Final

_SHOWN: Final = 80
"""How many characters of a field are shown."""


def representation(thing: Any) -> str:
    """A dataclass as its constructor would be called, without fields that are as they usually are.
    Of long fields the beginning is shown, and how long they are; of siblings, how many there are.
    """
    parts = [
        f"{field.name}={_shown(getattr(thing, field.name))}"
        for field in fields(thing)
        if field.repr and getattr(thing, field.name) != _usual(field)
    ]
    return f"{type(thing).__name__}({', '.join(parts)})"


def _usual(field: Field[Any]) -> Any:
    """What the field is where nothing else is said."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return repr(value) if len(repr(value)) <= _SHOWN else f"<{len(value)} items>"
    if isinstance(value, str | bytes) and len(value) > _SHOWN:
        unit = "bytes" if isinstance(value, bytes) else "characters"
        return f"{value[:_SHOWN]!r}... <{len(value)} {unit}>"
    return repr(value)
