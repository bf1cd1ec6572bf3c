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
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import report
import scenario_kill
import scenario_one_key
import scenario_overhead
import scenario_return
import scenario_rewriting
from figures import Outcome, table
from report import COUNT, Report
from scale import Scale

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
@click.option("--keys", type=COUNT, default=1_000_000, show_default=True, help="Of one-key.")
@click.option(
    "--writes", type=COUNT, default=100_000, show_default=True, help="That the dead node misses."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=2),
    default=10.0,
    show_default=True,
    help="Of each stretch of load that is measured.",
)
@click.option(
    "--connections", type=COUNT, default=64, show_default=True, help="Of kill and overhead."
)
@click.option(
    "--foreground",
    type=COUNT,
    default=8,
    show_default=True,
    help="Connections of the load that goes on while a node is healed.",
)
@click.option("--rounds", type=COUNT, default=3, show_default=True, help="Of overhead.")
@click.option(
    "--repair", is_flag=True, help="In anti-entropy, ask for a repair when the node is back."
)
@report.options
def main(names: tuple[str, ...], output: str, save: Path | None, **given: Any) -> None:
    scale = Scale(**given)
    try:
        facts = report.circumstances(scale.work_dir)
        outcomes = run(_measure(names, scale))
    except KvorumError as error:
        raise click.ClickException(error.message) from error
    except asyncio.CancelledError:
        raise click.Abort from None
    document = {
        **facts,
        "scale": {**asdict(scale), "work_dir": str(scale.work_dir)},
        "scenarios": [outcome.document() for outcome in outcomes],
    }
    Report(output=output, save=save).show(document, table(outcomes))


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


if __name__ == "__main__":
    main()
