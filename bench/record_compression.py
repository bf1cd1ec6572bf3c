#!/usr/bin/env python3
"""What compression gains on small records, with and without a dictionary, and what it costs.

Records are encoded as replicas store them, with the key in front as it is sealed. The dictionary
is trained from some of them as a node would; the figures are of others.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import click
import msgspec

from kvorum.demo.characters import first_edition, named_characters
from kvorum.model import record
from kvorum.sealing.compression import LEVEL_MAX, LEVEL_MIN, MIN_BYTES, Codec
from kvorum.sealing.training import train

SESSIONS: Final = 40_000
TRAINED_FROM: Final = 6_000
MEASURED: Final = 10_000
_NOW_MS: Final = 1_700_000_000_000
_PLAIN_BYTES_MAX: Final = 1 << 20


@click.command()
@click.option("--level", type=click.IntRange(LEVEL_MIN, LEVEL_MAX), default=3)
def main(level: int) -> None:
    click.echo(f"level {level}            plain  stored  ratio  compress    open")
    for title, bodies in (("Unicode", _characters()), ("sessions", _sessions())):
        random.Random(1).shuffle(bodies)
        learned_from, measured = bodies[:TRAINED_FROM], bodies[-MEASURED:]
        began = time.perf_counter()
        dictionary = train(learned_from, level, None)
        took = time.perf_counter() - began
        _show(f"{title}, alone", Codec(level), measured, MIN_BYTES)
        if dictionary is None:
            click.echo(f"{title}: no dictionary is worth having")
            continue
        _show(f"{title}, dictionary", Codec(level, dictionary), measured, 0)
        click.echo(f"  {len(dictionary)} bytes of dictionary, trained in {took:.2f} s")


def _show(title: str, codec: Codec, bodies: Sequence[bytes], bytes_min: int) -> None:
    packed = [codec.compress(body) for body in bodies]
    opened = [codec.decompress(frame, _PLAIN_BYTES_MAX) for frame in packed]
    if opened != bodies:
        raise click.ClickException(f"{title}: what was compressed did not come back")
    plain = sum(map(len, bodies))
    stored = sum(
        len(body) if len(body) < bytes_min else min(len(body), len(frame))
        for body, frame in zip(bodies, packed, strict=True)
    )
    compress = _microseconds(codec.compress, bodies)
    decompress = _microseconds(lambda frame: codec.decompress(frame, _PLAIN_BYTES_MAX), packed)
    click.echo(
        f"{title:20} {plain / len(bodies):5.0f} {stored / len(bodies):7.0f} {stored / plain:6.2f} "
        f"{compress:6.2f} us {decompress:4.2f} us"
    )


def _microseconds(call: Callable[[bytes], bytes], items: Sequence[bytes]) -> float:
    """The best of three passes, a call."""
    passes = []
    for _ in range(3):
        began = time.perf_counter()
        for item in items:
            call(item)
        passes.append(time.perf_counter() - began)
    return min(passes) / len(items) * 1e6


def _characters() -> list[bytes]:
    entries = first_edition(list(named_characters()))
    return [_body(key, value, number) for number, (key, value) in enumerate(entries.items())]


def _sessions() -> list[bytes]:
    chance = random.Random(1)
    return [_session(chance, number) for number in range(SESSIONS)]


def _session(chance: random.Random, number: int) -> bytes:
    """As a web shop has it: fixed names, few words, and tokens nobody can compress."""
    value = {
        "user": chance.randrange(10**6),
        "name": chance.choice(["Ann", "Bob", "Carol", "Dave", "Erin"]),
        "roles": chance.sample(["admin", "editor", "viewer", "billing", "support"], 2),
        "csrf": f"{chance.getrandbits(128):032x}",
        "created": _NOW_MS + 1000 * number,
        "theme": chance.choice(["dark", "light"]),
        "language": chance.choice(["en", "de", "fr", "es"]),
        "cart": [
            {"sku": f"SKU-{chance.randrange(10**6):06}", "quantity": chance.randrange(1, 5)}
            for _ in range(chance.randrange(3))
        ],
    }
    return _body(f"session:{chance.getrandbits(64):016x}", msgspec.json.encode(value), number)


def _body(key: str, value: bytes, number: int) -> bytes:
    name = b"default\0" + key.encode()
    dot = record.Event(0xD1CE_BEAD_5EED_0001, number, _NOW_MS + 3 * number)
    written = record.write(record.EMPTY, (), dot, record.JSON, value)
    return len(name).to_bytes(2, "big") + name + record.encode(name, written)


if __name__ == "__main__":
    main()
