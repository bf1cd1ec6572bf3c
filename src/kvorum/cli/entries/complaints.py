"""What is wrong with a line of a file, in plain words: what was wanted, and what was got.

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
    "unexpected end of data": "wanted a quote that closes the last cell, got the end of the file",
    "',' expected after '\"'": "wanted a comma behind the quote that closes a cell, got more text; "
    "a quote inside a cell is written twice",
    "new-line character seen": "wanted line breaks inside quotes, got one in a cell without quotes",
    "field larger than field limit": "wanted shorter cells, got one that is too long",
}
"""By how what the csv module says begins."""


def plain_words(error: Exception, text: bytes) -> str:
    """Why `text` was refused with `error`."""
    match error:
        case msgspec.ValidationError():
            return unfit(error)
        case msgspec.DecodeError():
            return unsound(error, text)
        case UnicodeDecodeError():
            byte = error.object[error.start]
            return f"wanted UTF-8, got the byte 0x{byte:02x} at place {error.start + 1} of the line"
        case RecursionError():
            return "wanted JSON that is not nested so deeply, got more levels than can be read"
        case KvorumError():
            return error.message
        case csv.Error():
            said = str(error)
            known = (words for start, words in _CSV.items() if said.startswith(start))
            return next(known, f"wanted CSV, got: {said}")
    return str(error)
