"""The part of `kvorum status` about what the answering server stores, and how sound it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from kvorum.cli.output import print_table

_PARTITIONS_LISTED: Final = 8


class Volume(msgspec.Struct):
    logical_bytes: int
    stored_bytes: int
    counted: str


class Pass(msgspec.Struct):
    ended_ms: int


class Scrub(msgspec.Struct):
    running: bool
    whole: Pass | None = None
    fraction: float = 0.0
    eta_s: float | None = None


class Quarantine(msgspec.Struct):
    damaged: int
    more: int = 0
    partitions: dict[str, int] = {}


class Storage(msgspec.Struct):
    scrub: Scrub
    quarantine: Quarantine
    volumes: dict[str, Volume] = {}
    damaged_files: dict[str, str] = {}


def print_storage(storage: Storage) -> None:
    from kvorum.model.sizes import format_size

    print_table(
        "stored",
        ("namespace", "#logical", "#stored", "#share", "counted"),
        [
            (
                name,
                format_size(volume.logical_bytes),
                format_size(volume.stored_bytes),
                f"{volume.stored_bytes / volume.logical_bytes:.2f}" if volume.logical_bytes else "",
                volume.counted,
            )
            for name, volume in storage.volumes.items()
        ],
    )
    print_table(
        "soundness",
        ("#damaged records", "in partitions", "damaged files", "looked through"),
        [
            (
                storage.quarantine.damaged + storage.quarantine.more,
                _partitions(list(storage.quarantine.partitions)),
                ", ".join(storage.damaged_files),
                _progress(storage.scrub),
            )
        ],
    )
    if storage.damaged_files:
        print_table("to have a whole store again: kvorum rebuild, on the stopped node", (), [])


def _partitions(partitions: list[str]) -> str:
    shown = ", ".join(partitions[:_PARTITIONS_LISTED])
    return f"{shown} ..." if len(partitions) > _PARTITIONS_LISTED else shown


def _progress(scrub: Scrub) -> str:
    if scrub.running:
        left = "" if scrub.eta_s is None else f", {timedelta(seconds=int(scrub.eta_s))} left"
        return f"{scrub.fraction:.1%}{left}"
    if scrub.whole is None:
        return "not yet"
    ended = datetime.fromtimestamp(scrub.whole.ended_ms / 1000, UTC)
    return ended.isoformat(" ", "seconds")
