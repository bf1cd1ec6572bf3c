"""Files of records with their versions: JSON Lines, the first of which says what they are.

    {"kvorum": "records", "format": 1}
    {"key": "U+1F600", "record": "<base64>"}

A record is portable (`model/portable_record.py`): bound to its key by a check, so a line that
was damaged is told from a sound one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final, Literal

import msgspec

from kvorum.api.entry_body import refuse_repeated_names
from kvorum.cli.bulk.items import Place, RecordItem, Reject
from kvorum.cli.entries.complaints import plain_words
from kvorum.cli.entries.entry_lines import LINE_BYTES_MAX
from kvorum.client.record_requests import PortableRecord
from kvorum.model.errors import ConfigError, RequestError
from kvorum.model.portable_record import from_portable

FORMAT: Final = 1
RECORD_LINE_BYTES_MAX: Final = 4 * LINE_BYTES_MAX
"""A record is at most 8 MB, and a third more in base64."""


class _Header(msgspec.Struct):
    kvorum: Literal["records"]
    format: int


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    record: bytes


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Line).decode

HEADER: Final = _encode(_Header("records", FORMAT)) + b"\n"
_START: Final = HEADER.partition(b",")[0]


def begins(start: bytes) -> bool:
    """True if a file that starts so is one of these."""
    return start.startswith(_START)


def line(record: PortableRecord) -> bytes:
    """The line of a file that holds `record`."""
    return _encode(_Line(record.key, record.record)) + b"\n"


def read(stream: IO[bytes], namespace: str | None, after: Place) -> Iterator[RecordItem | Reject]:
    """The records of `stream`, which is at its start, that end behind `after`. Raises ConfigError
    if it is no such file."""
    end = _read_header(stream)
    number = 1
    while data := stream.readline(RECORD_LINE_BYTES_MAX + 1):
        number += 1
        end += len(data)
        if len(data) > RECORD_LINE_BYTES_MAX:
            raise ConfigError(
                f"Line {number} is longer than the {RECORD_LINE_BYTES_MAX} bytes that a record may "
                "have. Check that the file is whole."
            )
        if end > after.offset:
            yield _record(data, namespace, Place(end, number))


def _record(data: bytes, namespace: str | None, place: Place) -> RecordItem | Reject:
    try:
        found = _decode(data)
        refuse_repeated_names(data)
        from_portable(found.key, found.record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Reject(place.line, place, plain_words(error, data))
    except RequestError as error:
        return Reject(place.line, place, error.message)
    return RecordItem(place, PortableRecord(found.key, found.record, namespace))


def _read_header(stream: IO[bytes]) -> int:
    """How long it is. Raises ConfigError."""
    data = stream.readline(1024)
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            "The file is not one that 'kvorum export --versions' wrote. Leave out --keep-versions, "
            "or name the right file."
        ) from error
    if header.format > FORMAT:
        raise ConfigError(
            f"The file has records of format {header.format}, and this kvorum reads format "
            f"{FORMAT}. Use the later kvorum that wrote it."
        )
    return len(data)
