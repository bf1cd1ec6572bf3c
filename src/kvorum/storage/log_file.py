"""One file of the log: its layout, and how it is written and read.

    block    4096 bytes; everything begins at one, and is padded to one with zeros
    header   block 0:  magic 6   format 2   salt 8   check 8
    entry    magic 4   length of the text 4   number 8   needed 8   check 8   text
             `needed` is the oldest number that was needed when it was appended. A mark has no
             text.

Checks are XXH3-64; an entry's is seeded with its file's salt, which is random. So what a client
has written cannot look like an entry, wherever a reader comes upon it.

A file has its blocks before it needs them, filled with zeros. So an entry changes neither its size
nor where its blocks are, and to make it durable is a write of these blocks and nothing else; the
file system has nothing to commit. It is also what is left to write to where others fill the disk.
Files are written past the page cache (O_DIRECT, O_DSYNC). Where the file system does not take
that, or nobody waits for the disk anyway, they are written through it.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import xxhash

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.storage.durable_file import draft_of, replace

BLOCK: Final = 4096
FORMAT: Final = 1

_FILE_MAGIC: Final = b"kvolog"
_FILE: Final = struct.Struct(">6sHQ")
_ENTRY_MAGIC: Final = b"\xb5log"
_ENTRY: Final = struct.Struct(">4sIQQ")
_CHECK_BYTES: Final = 8
ENTRY_BYTES: Final = _ENTRY.size + _CHECK_BYTES
_ZEROS: Final = bytes(BLOCK)

_BUFFER_BYTES: Final = 256 << 10
_READ_BYTES: Final = 1 << 20

# Where there is no O_DIRECT there may be no fdatasync either.
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def entry_blocks(salt: int, number: int, needed: int, text: bytes) -> bytes:
    """An entry as it is written: header, check and text, in whole blocks."""
    header = _ENTRY.pack(_ENTRY_MAGIC, len(text), number, needed)
    padding = _ZEROS[: -(ENTRY_BYTES + len(text)) % BLOCK]
    return b"".join((header, _check(header, text, salt), text, padding))


def _check(header: bytes, text: bytes, salt: int) -> bytes:
    """Of an entry."""
    if len(text) < BLOCK:  # One call costs less than three, but for the copy.
        return xxhash.xxh3_64_digest(header + text, seed=salt)
    check = xxhash.xxh3_64(header, seed=salt)
    check.update(text)
    return check.digest()


# Writing


class LogFile(Protocol):
    """Open for writing. One `append` at a time, then one `sync`."""

    salt: int
    end: int
    """Where the next entry goes."""

    def missing(self, size: int) -> int:
        """The bytes of disk that `append` of so many has to take up beyond those it has."""

    def append(self, data: bytes) -> None:
        """`data` is whole blocks. Raises OSError."""

    def sync(self) -> None:
        """Block until what was appended is durable. Raises OSError. For any thread."""

    def close(self) -> None: ...


class Manner(Protocol):
    """How the files of a directory are written."""

    def open(self, path: Path, salt: int, end: int) -> LogFile: ...


def create(path: Path, size: int) -> int:
    """Make the file `path` of `size` bytes, without entries, durably. Returns its salt."""
    salt = int.from_bytes(os.urandom(8))
    header = _FILE.pack(_FILE_MAGIC, FORMAT, salt)
    replace(path, (header + xxhash.xxh3_64_digest(header)).ljust(size, b"\0"))
    return salt


def sync_file(path: Path) -> None:
    """Make durable what was written to `path` through the page cache. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _sync_data(descriptor)
    finally:
        os.close(descriptor)


class BufferedFile:
    """Written through the page cache."""

    __slots__ = ("_descriptor", "_size", "end", "salt")

    def __init__(self, path: Path, salt: int, end: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.fstat(self._descriptor).st_size
        self.salt = salt
        self.end = end

    def missing(self, size: int) -> int:
        return max(0, self.end + size - self._size)

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, self.end)
            self.end += written
            rest = rest[written:]
        self._size = max(self._size, self.end)

    def sync(self) -> None:
        _sync_data(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class Buffered:
    """Files written through the page cache."""

    __slots__ = ()

    def open(self, path: Path, salt: int, end: int) -> LogFile:
        return BufferedFile(path, salt, end)


class DirectFile:
    """Written from memory to the disk. `sync` does all of it."""

    __slots__ = ("_buffer", "_data", "_descriptor", "_size", "end", "salt")

    def __init__(self, path: Path, salt: int, end: int, buffer: memoryview) -> None:
        self._descriptor = _open_direct(path, 0)
        self._size = os.fstat(self._descriptor).st_size // BLOCK * BLOCK
        self._buffer = buffer
        self._data = b""
        self.salt = salt
        self.end = end

    def missing(self, size: int) -> int:
        return max(0, self.end + size - self._size)

    def append(self, data: bytes) -> None:
        self._data = data

    def sync(self) -> None:
        data, size = self._data, len(self._data)
        if self.end + size > self._size:
            self._grow(self.end + size - self._size)
        if size == BLOCK:  # as most entries of few writes
            self._buffer[:BLOCK] = data
            _write_buffer(self._descriptor, self._buffer[:BLOCK], self.end)
        else:
            self._write(memoryview(data))
        self.end += size
        self._data = b""

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, data: memoryview) -> None:
        for start in range(0, len(data), len(self._buffer)):
            piece = data[start : start + len(self._buffer)]
            self._buffer[: len(piece)] = piece
            _write_buffer(self._descriptor, self._buffer[: len(piece)], self.end + start)

    def _grow(self, size: int) -> None:
        self._buffer[:] = bytes(len(self._buffer))
        end = self._size + size
        while self._size < end:
            zeros = self._buffer[: end - self._size]
            _write_buffer(self._descriptor, zeros, self._size)
            self._size += len(zeros)


class Direct:
    """Its files share a buffer, as only one of them is written at a time."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        # The kernel wants memory that begins at a page.
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES))

    def open(self, path: Path, salt: int, end: int) -> LogFile:
        return DirectFile(path, salt, end, self._buffer)

    def is_taken_by(self, directory: Path) -> bool:
        """Whether the file system lets its files be written so: found out by doing it."""
        trial = draft_of(directory / "0.log")
        try:
            descriptor = _open_direct(trial, os.O_CREAT)
            try:
                _write_buffer(descriptor, self._buffer[:BLOCK], 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        finally:
            trial.unlink(missing_ok=True)
        return True


def manner_for(directory: Path) -> Manner:
    """The best that the file system of `directory` takes. Raises OSError."""
    if not hasattr(os, "O_DIRECT"):
        return Buffered()
    direct = Direct()
    return direct if direct.is_taken_by(directory) else Buffered()


def _open_direct(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_RDWR | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC, 0o600)


def _write_buffer(descriptor: int, data: memoryview, at: int) -> None:
    """`data` is whole blocks, of a buffer that begins at a page."""
    while data:
        # A write that was cut short goes on at a block again.
        written = os.pwrite(descriptor, data, at) // BLOCK * BLOCK
        if not written:
            raise OSError(errno.EIO, "less than a block was written")
        at += written
        data = data[written:]


# Reading


class Found(NamedTuple):
    """An entry whose check holds, and where it is."""

    number: int
    needed: int
    at: int
    length: int

    @property
    def end(self) -> int:
        return self.at + _blocks_bytes(self.length)


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """The descriptor of `path`, open for reading. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_salt(descriptor: int, path: Path) -> int | None:
    """None if the header is damaged. Raises StorageError if the file is not for this program."""
    data = os.pread(descriptor, _FILE.size + _CHECK_BYTES, 0)
    header = data[: _FILE.size]
    if len(header) < _FILE.size or data[_FILE.size :] != xxhash.xxh3_64_digest(header):
        return None
    magic, version, salt = _FILE.unpack(header)
    if magic != _FILE_MAGIC or version != FORMAT:
        raise StorageError(
            f"The journal's file {path} has format {version}, and this kvorum uses format {FORMAT} "
            "only. Start it with the kvorum that wrote it."
        )
    return int(salt)


def find_entries(descriptor: int, salt: int) -> Iterator[Found]:
    """All entries whose checks hold, among them those of former uses of the file."""
    size = os.fstat(descriptor).st_size
    at = BLOCK
    while at < size:
        found = _find_entry(descriptor, salt, at, size)
        if found is None:
            at += BLOCK
        else:
            at = found.end
            yield found


def read_text(descriptor: int, salt: int, found: Found) -> bytes:
    """Raises CorruptRecord if it is no longer what was found."""
    data = os.pread(descriptor, ENTRY_BYTES + found.length, found.at)
    header, check = data[: _ENTRY.size], data[_ENTRY.size : ENTRY_BYTES]
    text = data[ENTRY_BYTES:]
    if len(text) != found.length or check != _check(header, text, salt):
        raise CorruptRecord(
            f"Entry {found.number} of the journal was sound a moment ago and fails its check now. "
            "Check the disk and the memory of this machine."
        )
    return text


def _find_entry(descriptor: int, salt: int, at: int, size: int) -> Found | None:
    data = os.pread(descriptor, ENTRY_BYTES, at)
    if not data.startswith(_ENTRY_MAGIC) or len(data) < ENTRY_BYTES:
        return None
    _, length, number, needed = _ENTRY.unpack_from(data)
    if at + _blocks_bytes(length) > size:
        return None
    check = xxhash.xxh3_64(data[: _ENTRY.size], seed=salt)
    start, end = at + ENTRY_BYTES, at + ENTRY_BYTES + length
    for piece in range(start, end, _READ_BYTES):
        check.update(os.pread(descriptor, min(_READ_BYTES, end - piece), piece))
    if check.digest() != data[_ENTRY.size :]:
        return None
    return Found(number, needed, at, length)


def _blocks_bytes(length: int) -> int:
    return -(-(ENTRY_BYTES + length) // BLOCK) * BLOCK
