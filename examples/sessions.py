"""Sessions of a web application: they expire, and a user can end all of them at once.

    python examples/sessions.py DIRECTORY

The user's name stands in braces in each key. It is a hash tag: the sessions of one user are kept
together, so to list or delete them asks for that one place, and not the whole store.
"""

from __future__ import annotations

import secrets
import sys
from datetime import timedelta
from typing import Any

import kvorum

IDLE = timedelta(minutes=30)


def sign_in(store: kvorum.Embedded, user: str) -> str:
    """Begin a session; returns its key, which is what the cookie holds."""
    key = f"session:{{{user}}}:{secrets.token_urlsafe(16)}"
    store.set(key, {"user": user, "cart": []}, ttl=IDLE)
    return key


def session(store: kvorum.Embedded, key: str) -> Any:
    """The session with that key, which lives for IDLE from now on; None if there is none."""
    found = store.get(key)
    if found is not None:
        store.touch(key, IDLE)
    return found


def add_to_cart(store: kvorum.Embedded, key: str, item: str) -> None:
    """Two tabs of one browser may do this at once: a cart that is merged holds what both added."""

    def merge(sessions: list[Any]) -> Any:
        return {**sessions[0], "cart": sorted({item for one in sessions for item in one["cart"]})}

    def change(session: Any) -> Any:
        return {**session, "cart": [*session["cart"], item]}

    store.update(key, change, merge=merge)


def sign_out_everywhere(store: kvorum.Embedded, user: str) -> int:
    """End all sessions of `user`; returns how many there were."""
    return store.clear(f"session:{{{user}}}:")


def main(directory: str) -> None:
    # With kvorum.connect("host:port") instead, all else stays the same.
    with kvorum.open(directory) as store:
        laptop, _phone = sign_in(store, "ada"), sign_in(store, "ada")
        sign_in(store, "bob")
        add_to_cart(store, laptop, "book")
        print("cart:", session(store, laptop)["cart"])
        print("sessions of ada:", store.count("session:{ada}:"))
        print("signed out:", sign_out_everywhere(store, "ada"))
        print("still there:", session(store, laptop))
        print("all sessions:", store.count("session:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
