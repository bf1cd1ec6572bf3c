"""zstd for single records: the only file that knows the library.

A record is compressed on its own, so that it can be read on its own. Most are small, and what
repeats in them repeats between records, not inside one: only a dictionary that both sides have
makes them smaller (`training.py` makes it, `dictionary.py` keeps it). It also makes them faster
to compress, because its tables are ready and the compressor's own need not be cleared.

A compressed record is one zstd frame (RFC 8878) with all that is known anyhow left out:

    magic number       left out
    dictionary id      left out: the record's header names the dictionary
    content checksum   left out: records carry their own check, and encryption another
    content size       kept: the bound that is checked before anything is allocated

Hence what opens with another dictionary than it was made with may come out as other bytes, of
the declared size. Whoever opens a record checks it.

The library takes `max_output_size` as a bound only where a frame declares no size; where it
declares one, so many bytes are allocated, whatever was asked. And of a frame that declares no
content at all it reads no more than that. So both are looked at here, beforehand.
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
LEVEL_DEFAULT: Final = 3

MIN_BYTES: Final = 128
"""Without a dictionary, JSON of less bytes comes out hardly smaller, or larger."""


class Codec:
    """Compresses and opens records of one level and dictionary.

    It belongs to one thread: it reuses zstd contexts, which two threads must not enter at once.
    """

    __slots__ = ("_compress", "_decompress", "_empty")

    def __init__(self, level: int, dictionary: bytes | None = None) -> None:
        if not LEVEL_MIN <= level <= LEVEL_MAX:
            raise ValueError(f"wanted a level from {LEVEL_MIN} to {LEVEL_MAX}, got {level}")
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
        """`data` as a frame: longer than `data` where there is nothing to gain."""
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
                f"wanted one zstd frame, got {len(data)} bytes that are none: {error}"
            ) from error
        if data == self._empty:
            return b""
        raise CorruptRecord(
            f"wanted a zstd frame that declares 1 to {size_max} bytes, got {len(data)} bytes "
            f"that declare {size}"
        )


def learn(samples: Sequence[bytes], size: int, level: int) -> bytes | None:
    """A dictionary of at most `size` bytes for data like `samples`, at `level`.

    None if zstd finds too little in them. Other threads run meanwhile: the library lets go of
    the interpreter's lock, but for the copying of the samples.
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
            f"wanted a zstd dictionary, got {len(dictionary)} bytes that are none: {error}"
        ) from error
    return tables
