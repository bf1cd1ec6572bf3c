"""Environment variables of the options of commands that run servers.

An option that is not given is taken from KVORUM_COMMAND_OPTION: `--log-level` of `kvorum serve`
from KVORUM_SERVE_LOG_LEVEL. A flag is set by 1, true or yes. An option that may be given several
times takes several values, with blanks between them.
"""

from __future__ import annotations

import click


def from_environment(command: click.Command) -> click.Command:
    """`command`, whose options may be given by environment variables, as its help says."""
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            option.envvar = variable(command, option)
            option.show_envvar = True
    return command


def variable(command: click.Command, option: click.Option) -> str:
    """The name of the environment variable of `option`."""
    longest = max(option.opts, key=len)
    return f"KVORUM_{command.name}_{longest.lstrip('-').replace('-', '_')}".upper()
