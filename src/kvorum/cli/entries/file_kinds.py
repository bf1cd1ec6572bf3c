"""Telling text from what is no text, by the first block of a file, before anything is imported.

Formats that are known by their first bytes are named, with the way to make text of them. Other
files are no text if the first block has zero bytes, or is not UTF-8.
"""

from __future__ import annotations

import codecs
import shlex
from typing import Final, NamedTuple

from kvorum.model.errors import ConfigError

BLOCK_BYTES: Final = 8192
"""How much of a file is enough to tell."""


class _Kind(NamedTuple):
    """A format of files: the program that unpacks one to stdout, or advice what else to do."""

    name: str
    unpack: str = ""
    advice: str = ""


_SPREADSHEET: Final = "Save it as CSV in UTF-8, and import that"
_TABLE: Final = "Convert it to JSON Lines or CSV, and import that"

_BY_START: Final = {
    b"\x1f\x8b": _Kind("gzip", unpack="zcat"),
    b"BZh": _Kind("bzip2", unpack="bzcat"),
    b"\xfd7zXZ\0": _Kind("xz", unpack="xzcat"),
    b"\x28\xb5\x2f\xfd": _Kind("Zstandard", unpack="zstdcat"),
    b"\x04\x22\x4d\x18": _Kind("LZ4", unpack="lz4cat"),
    b"7z\xbc\xaf\x27\x1c": _Kind("7-Zip", unpack="7z x -so"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _Kind("old Excel", advice=_SPREADSHEET),
    b"PAR1": _Kind("Parquet", advice=_TABLE),
    b"ARROW1": _Kind("Arrow", advice=_TABLE),
    b"Obj\x01": _Kind("Avro", advice=_TABLE),
    b"SQLite format 3\0": _Kind("SQLite", advice=_TABLE),
    b"%PDF-": _Kind("PDF", advice=_TABLE),
    b"REDIS0": _Kind("Redis snapshot", advice=_TABLE),
}
_ZIP: Final = b"PK\x03\x04"
_IN_ZIP: Final = {
    b"[Content_Types].xml": _Kind("Excel or other Office", advice=_SPREADSHEET),
    b"opendocument.spreadsheet": _Kind("OpenDocument", advice=_SPREADSHEET),
}
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def refuse_known_binary(block: bytes, file: str, *, csv: bool) -> None:
    """Raises ConfigError if `block`, the first of `file`, begins a file of a format that is known
    and is no text. `csv`: the file is to be read as CSV."""
    kind = _kind(block)
    if kind is not None:
        advice = kind.advice or _unpacking(kind.unpack, file, csv)
        raise ConfigError(
            f"{_named(file)} is a file of the {kind.name} format, and an import reads text: JSON "
            f"Lines or CSV. Nothing was imported. {advice}."
        )
    if block.startswith(_UTF_16):
        raise ConfigError(
            f"{_named(file)} is UTF-16, and an import reads UTF-8. Nothing was imported. Save it "
            f"as UTF-8, or convert it: {_converting('UTF-16', file, csv)}."
        )


def refuse_unknown_binary(block: bytes, file: str, *, csv: bool) -> None:
    """Raises ConfigError if `block`, the first of `file`, is not UTF-8 or has zero bytes."""
    at = block.find(0)
    if at >= 0:
        raise ConfigError(
            f"{_named(file)} is not text: its byte {at + 1} is 0x00. Nothing was imported. Name a "
            "file of JSON Lines or CSV. To import the lines that are sound all the same, add "
            "--max-rejected all."
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{_named(file)} is not UTF-8 text: its byte {error.start + 1} is "
            f"0x{block[error.start]:02x}. Nothing was imported. If it is text in another encoding, "
            f"convert it: {_converting('LATIN1', file, csv)}. To import the lines that are sound "
            "all the same, add --max-rejected all."
        ) from error


def _kind(block: bytes) -> _Kind | None:
    if block.startswith(_ZIP):
        inside = (kind for part, kind in _IN_ZIP.items() if part in block)
        return next(inside, _Kind("zip", unpack="unzip -p"))
    return next((kind for start, kind in _BY_START.items() if block.startswith(start)), None)


def _named(file: str) -> str:
    return "The input" if file == "-" else f"The file {file}"


def _unpacking(unpack: str, file: str, csv: bool) -> str:
    return f"Unpack it on the way, as in '{_piped(unpack, file, csv)}'"


def _converting(encoding: str, file: str, csv: bool) -> str:
    return f"'{_piped(f'iconv -f {encoding} -t UTF-8', file, csv)}'"


def _piped(program: str, file: str, csv: bool) -> str:
    source = "" if file == "-" else f" {shlex.quote(file)}"
    return f"{program}{source} | kvorum import -{' --format csv' if csv else ''}"
