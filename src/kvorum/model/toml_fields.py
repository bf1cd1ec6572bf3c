"""TOML tables as structs, with errors in the terms of TOML.

msgspec speaks of its own types: "Expected `int | null`, got `str` - at `$.read`" is here

    read: it must be a whole number, not a text in quotes.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from kvorum.model.errors import ConfigError

_KINDS: Final = {
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number that is not whole",
    "bool": "true or false",
    "array": "an array",
    "object": "a table",
    "date": "a date",
    "time": "a time",
    "datetime": "a moment",
}
_WANTED: Final = {**_KINDS, "float": "a number"}
_WRONG_KIND: Final = re.compile(r"Expected `(.+?)`, got `(.+?)`(?: - at `\$\.(.+)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

_T = TypeVar("_T", bound=msgspec.Struct)


def fitting(table: object, kind: type[_T]) -> _T:
    """`table` as the struct `kind`. Raises ConfigError, which names the field."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_complaint(str(error), kind)) from error


def _complaint(said: str, kind: type[msgspec.Struct]) -> str:
    fields = f"The fields are {', '.join(kind.__struct_fields__)}."
    if found := _MISSING.fullmatch(said):
        return f"The field {found[1]!r} is missing. {fields}"
    if found := _UNKNOWN.fullmatch(said):
        return f"Unknown field {found[1]!r}. {fields}"
    if found := _WRONG_KIND.fullmatch(said):
        wanted = next(iter(found[1].split(" | ")))  # the others are null, which TOML lacks
        got = _KINDS.get(found[2], found[2])
        where = f"{found[3]}: " if found[3] else ""
        return f"{where}it must be {_WANTED.get(wanted, wanted)}, not {got}."
    return f"{said.replace('`$.', '').replace('`', '')}."
