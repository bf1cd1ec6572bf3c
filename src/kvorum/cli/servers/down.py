"""`kvorum down`: stops the cluster that `kvorum up` runs on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from kvorum.cli.output import output_option, print_json
from kvorum.cli.servers.options import running_data_dir_option
from kvorum.devcluster.hold import ask_to_stop, holder
from kvorum.model.errors import TimeoutExpired

_STOPPED_S_MAX: Final = 60.0
_LOOK_AGAIN_S: Final = 0.05


@click.command()
@running_data_dir_option
@output_option
def down(data_dir: Path, output: str) -> None:
    """Stop the cluster in --data-dir, and wait until all of its nodes have stopped.

    The cluster may have been started by 'kvorum up', with or without --detach. Where none runs,
    nothing is done, and the command succeeds.

    \b
    kvorum down --data-dir data
    """
    began = time.monotonic()
    process = ask_to_stop(data_dir)
    while process is not None and holder(data_dir) == process:
        if time.monotonic() - began > _STOPPED_S_MAX:
            raise TimeoutExpired(
                f"The cluster in {data_dir} has not stopped within {_STOPPED_S_MAX:g} s. See "
                f"{data_dir / 'up.log'}, or kill process {process}."
            )
        time.sleep(_LOOK_AGAIN_S)
    seconds = round(time.monotonic() - began, 3)
    if output == "json":
        print_json({"stopped": process is not None, "pid": process, "seconds": seconds})
    elif process is None:
        click.echo(f"No cluster runs in {data_dir}.")
    else:
        click.echo(f"The cluster in {data_dir} has stopped, after {seconds:.1f} s.")
