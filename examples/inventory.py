"""An inventory: what is in stock of each item, when several programs change it at once.

    python examples/inventory.py DIRECTORY

A plain number would not do. In a cluster two updates of the same moment may both happen, and are
then kept side by side; of two numbers nobody can say what the stock is. So each item holds its
movements by a number of their own, of which any two versions can be merged: all of both.

What this does not do: it cannot refuse the last piece to one of two buyers of the same moment.
The stock is then below zero, which `short` tells.
"""

from __future__ import annotations

import secrets
import sys
from collections import ChainMap

import kvorum

Movements = dict[str, int]


def merge(versions: list[Movements]) -> Movements:
    """The movements of all versions. Each has a number of its own, so none is counted twice."""
    return dict(ChainMap(*versions))


def move(store: kvorum.Embedded, item: str, amount: int) -> None:
    """Put so many pieces of `item` in (amount > 0) or take them out (amount < 0)."""
    number = secrets.token_hex(8)

    def change(movements: Movements) -> Movements:
        return {**movements, number: amount}

    store.update(f"stock:{item}", change, merge=merge, default={})


def stock(store: kvorum.Embedded, item: str) -> int:
    """How many pieces of `item` there are."""
    return sum(store.get(f"stock:{item}", {}, on_conflict=merge).values())


def short(store: kvorum.Embedded) -> list[str]:
    """The items of which more was taken out than there was."""
    items = store.mapping("stock:", on_conflict=merge)
    return sorted(item for item, movements in items.items() if sum(movements.values()) < 0)


def main(directory: str) -> None:
    with kvorum.open(directory) as store:
        move(store, "book", 10)
        move(store, "book", -3)
        move(store, "pen", -1)
        print("books:", stock(store, "book"))

        # Two programs that have read the same version and do not know of each other:
        seen = store.get_entry("stock:book")
        store.set("stock:book", {**seen.value, "first": -2}, version=seen.version)
        store.set("stock:book", {**seen.value, "second": -1}, version=seen.version)
        print("versions:", len(store.get_entry("stock:book").siblings))
        print("books:", stock(store, "book"))

        move(store, "book", 1)  # the next update merges what is side by side
        print("versions:", len(store.get_entry("stock:book").siblings) or 1)
        print("books:", stock(store, "book"))
        print("short of:", short(store))


if __name__ == "__main__":
    main(*sys.argv[1:])
