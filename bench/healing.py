#!/usr/bin/env python3
"""Does kvorum go on when a node dies, and how fast is the node whole again? On real processes.

    kill           one of three nodes is killed under load
    hints          it returns, and is handed the writes that it missed
    anti-entropy   the same, with all notes of what it missed taken away
    overhead       what repairs in the background cost the foreground
    rewriting      what the rotation of keys costs it
    one-key        how many bytes it takes to find one differing key (in this process)

Three nodes on loopback as `kvorum up` starts them: N=3, R=W=2, fsync. The load comes from this
process, so nodes and load share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import disk
import scenario_kill
import scenario_one_key
import scenario_overhead
import scenario_return
import scenario_rewriting
from figures import Outcome, table
from scale import Scale

from kvorum import __version__
from kvorum.bench import machine
from kvorum.model.errors import KvorumError
from kvorum.runtime.loop import run

SCENARIOS: Final[dict[str, Callable[[Scale], Awaitable[Outcome]]]] = {
    scenario_kill.SCENARIO: scenario_kill.measure,
    scenario_return.HINTS: scenario_return.by_hints,
    scenario_return.ANTI_ENTROPY: scenario_return.by_anti_entropy,
    scenario_overhead.SCENARIO: scenario_overhead.measure,
    scenario_rewriting.SCENARIO: scenario_rewriting.measure,
    scenario_one_key.SCENARIO: scenario_one_key.measure,
}
_COUNT: Final = click.IntRange(min=1)
_HELP: Final = (__doc__ or "").replace("\n\n    kill", "\n\n\b\n    kill", 1)


@click.command(help=_HELP)
@click.option(
    "--only",
    "names",
    type=click.Choice(tuple(SCENARIOS)),
    multiple=True,
    default=tuple(SCENARIOS),
    help="This scenario only; may be repeated.",
)
@click.option("--keys", type=_COUNT, default=1_000_000, show_default=True, help="Of one-key.")
@click.option(
    "--writes", type=_COUNT, default=100_000, show_default=True, help="That the dead node misses."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=2),
    default=10.0,
    show_default=True,
    help="Of each stretch of load that is measured.",
)
@click.option(
    "--connections", type=_COUNT, default=64, show_default=True, help="Of kill and overhead."
)
@click.option(
    "--foreground",
    type=_COUNT,
    default=8,
    show_default=True,
    help="Connections of the load that goes on while a node is healed.",
)
@click.option("--rounds", type=_COUNT, default=3, show_default=True, help="Of overhead.")
@click.option(
    "--repair", is_flag=True, help="In anti-entropy, ask for a repair when the node is back."
)
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=tempfile.gettempdir(),
    show_default=True,
    help="Where data directories are made, and removed again.",
)
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Also as JSON, here.")
def main(names: tuple[str, ...], output: str, save: Path | None, **given: Any) -> None:
    scale = Scale(**given)
    try:
        disk.check(scale.work_dir)
        facts = _facts(scale)
        outcomes = run(_measure(names, scale))
    except KvorumError as error:
        raise click.ClickException(error.message) from error
    except asyncio.CancelledError:
        raise click.Abort from None
    document = {**facts, "scenarios": [outcome.document() for outcome in outcomes]}
    text = json.dumps(document, indent=2)
    if save is not None:
        save.write_text(text + "\n")
    click.echo(text if output == "json" else table(outcomes))


async def _measure(names: tuple[str, ...], scale: Scale) -> list[Outcome]:
    # So that a terminated run, too, stops its nodes and removes their data.
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    outcomes = []
    for name in names:
        click.echo(f"{name}:", err=True)
        outcomes.append(await SCENARIOS[name](scale))
    return outcomes


def _facts(scale: Scale) -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "kvorum": __version__,
        "machine": {
            **machine.facts(),
            "load_average": os.getloadavg(),
            "sync_ms": disk.sync_ms(scale.work_dir),
        },
        "scale": {name: str(value) if isinstance(value, Path) else value
                  for name, value in vars(scale).items()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
