"""Removal of what lies open of dropped namespaces, where it cannot wait for the scrubber."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.model.prefixes import HINT, HINTS_END, RECORD, RECORDS_END
from kvorum.sealing.seal import Seal
from kvorum.storage.store import FlushTarget

_PAGE: Final = 256


def delete_removed(store: FlushTarget, seal: Seal, on_deleted: Callable[[bytes], object]) -> None:
    """Delete all pairs of dropped namespaces that lie open in the store below the seal, and call
    `on_deleted(stored_key)` for each. Blocks. Raises StorageError.
    """
    for cursor, end in ((RECORD, RECORDS_END), (HINT, HINTS_END)):
        while pairs := store.scan(cursor, end, _PAGE):
            for stored_key, sealed in pairs:
                if seal.is_removed(stored_key, sealed):
                    store.write(stored_key, None)
                    on_deleted(stored_key)
            cursor = pairs[-1][0] + b"\0"
