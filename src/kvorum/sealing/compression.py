"""zstd for single records: the only file that knows the library.

Each record is compressed by itself, so that it can be read by itself. Most records are small, and
what repeats in them repeats between records, not within one: only a shared dictionary makes them
smaller (`training.py` trains it, `dictionary.py` stores it). A dictionary also makes compression
faster, because its tables are ready and the compressor's own need not be cleared.

A compressed record is one zstd frame (RFC 8878) without the fields that are known anyhow:

    magic number       left out
    dictionary id      left out: the record's header names the dictionary
    content checksum   left out: records carry their own check, and encryption another
    content size       kept: it is checked before anything is allocated

So a frame that is decompressed with the wrong dictionary may give other bytes of the declared
size, without an error. Whoever opens a record checks it.

The library applies `max_output_size` only to a frame that declares no size; for any other it
allocates the declared size. Of a frame that declares size 0 it does not read the content. So
`decompress` checks both beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zstandard import (
    DICT_TYPE_FULLDICT,
    FORMAT_ZSTD1_MAGICLESS,
    ZstdCompressionDict,
    ZstdCompressionParameters,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
    get_frame_parameters,
    train_dictionary,
)

from kvorum.model.errors import CorruptRecord, StorageError

LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 9
"""Higher levels take seconds for the largest values, and the event loop waits for them."""

MIN_BYTES: Final = 128
"""Without a dictionary, shorter JSON hardly gets smaller, or gets larger."""


class Codec:
    """Compresses records with one level and dictionary. Not thread-safe: it has zstd contexts."""

    __slots__ = ("_compress", "_decompress", "_empty")

    def __init__(self, level: int, dictionary: bytes | None = None) -> None:
        if not LEVEL_MIN <= level <= LEVEL_MAX:
            raise ValueError(f"{level} is not a level from {LEVEL_MIN} to {LEVEL_MAX}.")
        parameters = ZstdCompressionParameters(
            format=FORMAT_ZSTD1_MAGICLESS,
            compression_level=level,
            write_content_size=1,
            write_dict_id=0,
            write_checksum=0,
        )
        tables = None if dictionary is None else _tables(level, dictionary)
        self._compress = ZstdCompressor(dict_data=tables, compression_params=parameters).compress
        self._decompress = ZstdDecompressor(
            dict_data=tables, format=FORMAT_ZSTD1_MAGICLESS
        ).decompress
        self._empty = self._compress(b"")

    def compress(self, data: bytes) -> bytes:
        """`data` as a frame, which is longer than `data` if it does not compress."""
        return self._compress(data)

    def decompress(self, data: bytes, size_max: int) -> bytes:
        """What `compress` was given. Raises CorruptRecord if `data` is not exactly one frame that
        declares at most `size_max` bytes and holds as many as it declares.
        """
        # Arguments are passed by position: by name they cost a call twice as much.
        try:
            size = get_frame_parameters(data, FORMAT_ZSTD1_MAGICLESS).content_size
            if 0 < size <= size_max:
                return self._decompress(data, 0, False, False)
        except ZstdError as error:
            raise CorruptRecord(
                f"A record's {len(data)} compressed bytes are no zstd frame: {error}."
            ) from error
        if data == self._empty:
            return b""
        raise CorruptRecord(
            f"A record's zstd frame declares {size} bytes, and 1 to {size_max} are allowed."
        )


def learn(samples: Sequence[bytes], size: int, level: int) -> bytes | None:
    """A dictionary of at most `size` bytes for data like `samples`, at `level`; None if zstd finds
    too little that repeats in them.

    The library releases the interpreter's lock, except while it copies the samples.
    """
    try:
        return train_dictionary(size, list(samples), level=level).as_bytes()
    except ZstdError:
        return None


def _tables(level: int, dictionary: bytes) -> ZstdCompressionDict:
    try:
        tables = ZstdCompressionDict(dictionary, dict_type=DICT_TYPE_FULLDICT)
        tables.precompute_compress(level=level)
    except ZstdError as error:
        raise StorageError(
            f"A compression dictionary of {len(dictionary)} bytes cannot be used: {error}."
        ) from error
    return tables
