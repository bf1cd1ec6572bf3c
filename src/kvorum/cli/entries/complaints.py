"""What is wrong with a line of a file, in plain words.

The decoders' own words name their types and positions in their terms, and say nothing to whoever
wrote the file.
"""

from __future__ import annotations

import csv
from typing import Final

import msgspec

from kvorum.api.json_complaints import unfit, unsound
from kvorum.model.errors import KvorumError

_CSV: Final = {
    "expected after": "More text follows the quote that closes a cell, where the next cell should; "
    "a quote inside a cell is written twice.",
    "new-line character seen": "A cell without quotes has a line break in it, a carriage return "
    "alone; put it in quotes, or end the lines of the file with a line feed.",
}
"""By a part of what the csv module says."""


def plain_words(error: Exception, text: bytes) -> str:
    """Why `text` was refused with `error`."""
    match error:
        case msgspec.ValidationError():
            return unfit(error)
        case msgspec.DecodeError():
            return unsound(error, text)
        case UnicodeDecodeError():
            byte = error.object[error.start]
            return f"The byte 0x{byte:02x} at place {error.start + 1} of the line is not UTF-8."
        case RecursionError():
            return "The JSON is nested more deeply than can be read."
        case KvorumError():
            return error.message
        case csv.Error():
            said = str(error)
            known = (words for part, words in _CSV.items() if part in said)
            return next(known, f"The row is not CSV: {said}.")
    return str(error)
