"""The part of `kvorum status` about what the answering server stores, and how sound it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from kvorum.cli.moments import to_the_second
from kvorum.cli.output import print_records, print_table
from kvorum.documents.storage import ScrubStatus, Storage
from kvorum.model.sizes import format_size

_PARTITIONS_LISTED: Final = 8


def print_storage(storage: Storage) -> None:
    """Print tables of what is stored and of how sound it is."""
    rows = [
        (
            name,
            format_size(volume.logical_bytes),
            format_size(volume.stored_bytes),
            f"{volume.stored_bytes / volume.logical_bytes:.2f}" if volume.logical_bytes else "",
            volume.counted,
        )
        for name, volume in storage.volumes.items()
    ]
    print_table(
        "stored on the server asked, before and after compression",
        ("namespace", "#before", "#after", "#share", "counted"),
        rows,
    )
    found = storage.quarantine
    damage: dict[str, object] = {
        "#damaged records": found.damaged + found.more,
        "in partitions": _partitions(list(map(str, found.partitions))),
        "damaged files": ", ".join(storage.damaged_files),
        "all read and checked": _progress(storage.scrub),
    }
    print_records("damage on the disk of the server asked", [damage])
    if storage.damaged_files:
        print_table("to have a whole store again: kvorum rebuild, on the stopped node", (), [])


def _partitions(partitions: list[str]) -> str:
    shown = ", ".join(partitions[:_PARTITIONS_LISTED])
    return f"{shown} ..." if len(partitions) > _PARTITIONS_LISTED else shown


def _progress(scrub: ScrubStatus) -> str:
    if scrub.running:
        left = f", {timedelta(seconds=int(scrub.eta_s))} left" if scrub.eta_s else ""
        return f"{scrub.fraction_done:.1%}{left}"
    if scrub.whole is None:
        return "not yet"
    return to_the_second(scrub.whole.ended_ms)
