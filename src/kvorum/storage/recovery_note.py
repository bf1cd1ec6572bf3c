"""The note that says whether this disk speaks for all that its node has acknowledged.

    b"r"   ->   nothing: recovering,   b"lost": and it is known to have lost what it had,
                b"whole": this disk speaks for all that its node has acknowledged

The state outlives a restart, and has to be told from that of a disk on which nothing is durable
yet; so it is the end of recovery that is noted, not its beginning (`repair/recovery.py`).
"""

from __future__ import annotations

from typing import Any, Final

from kvorum.model import prefixes
from kvorum.storage.store import Done, Store

NOTE: Final = prefixes.RECOVERY
WHOLE: Final = b"whole"
LOST: Final = b"lost"


def note_loss(store: Store, done: Done, arg: Any) -> None:
    """Have the node that starts on `store` know that it has forgotten what it acknowledged."""
    store.put(NOTE, LOST, done, arg)
