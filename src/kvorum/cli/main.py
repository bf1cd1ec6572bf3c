"""The program `kvorum`: a group of commands that are loaded when they are called.

Every error a command raises on purpose meets its user here, as one line and an exit code; so
does a wrong command line, and a stdout that cannot be written. What still ends in a traceback is
a fault of the program.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import click

from kvorum import __version__
from kvorum.cli.errors import (
    EXIT_CODES,
    ExitCode,
    Interrupted,
    exit_code,
    print_failure,
    print_interruption,
    print_misuse,
    print_unwritable,
    wants_json,
)
from kvorum.cli.help_width import help_width
from kvorum.cli.output import note
from kvorum.cli.stdout import Unwritable, checked_stdout, discard_stdout
from kvorum.model.errors import KvorumError
from kvorum.runtime.standard_descriptors import fill_standard_descriptors


class Lazy(NamedTuple):
    """A command that is not loaded: where it is in this package, and its line of help."""

    module: str
    name: str
    help: str


SECTIONS: Final[dict[str, dict[str, Lazy]]] = {
    "Run": {
        "demo": Lazy("trials.demo", "demo", "See a cluster lose a node, and no data."),
        "up": Lazy("servers.up", "up", "Run a local cluster of several nodes."),
        "down": Lazy("servers.down", "down", "Stop the local cluster."),
        "restart": Lazy("servers.restart", "restart", "Restart its nodes, one after another."),
        "serve": Lazy("servers.serve", "serve", "Run one node."),
    },
    "Data": {
        "set": Lazy("entries.commands", "set_value", "Store a value under a key."),
        "touch": Lazy("entries.commands", "touch", "Give a key another lifetime."),
        "get": Lazy("entries.commands", "get", "Print the value of a key."),
        "delete": Lazy("entries.commands", "delete", "Delete keys, or all with a prefix."),
        "ls": Lazy("listing.commands", "list_keys", "List keys, or those with a prefix."),
        "count": Lazy("listing.commands", "count", "Count keys, or those with a prefix."),
        "import": Lazy("entries.importing", "import_file", "Store the entries of a file."),
        "export": Lazy("entries.exporting", "export", "Write all entries to a file."),
        "namespace": Lazy("upkeep.namespace", "namespace", "Make, alter or drop namespaces."),
    },
    "Back up": {
        "snapshot": Lazy("snapshots.commands", "snapshot", "Back up all nodes, and restore.")
    },
    "Repair": {
        "scrub": Lazy("upkeep.scrub", "scrub", "Read all that is stored; repair damage."),
        "repair": Lazy("upkeep.repair", "repair", "Compare all replicas and repair them now."),
        "rebuild": Lazy("upkeep.rebuild", "rebuild", "Empty a damaged node, to be filled again."),
        "clock": Lazy("upkeep.clock", "clock", "Say that a node's clock is right."),
    },
    "Secure": {
        "token": Lazy("security.token", "token", "Make, list and revoke tokens."),
        "user": Lazy("security.user", "user", "Make, alter, list and remove users."),
        "role": Lazy("security.role", "role", "Make, list and remove roles."),
        "whoami": Lazy("security.whoami", "whoami", "Show who you are to the cluster."),
        "certs": Lazy("security.certs", "certs", "Make, rotate and revoke certificates."),
        "data-keys": Lazy("upkeep.sealing_keys", "data_keys", "List and rotate encryption keys."),
        "master-keys": Lazy("upkeep.sealing_keys", "master_keys", "Change what wraps those."),
        "audit": Lazy("security.audit", "audit", "Verify a node's audit log, and look at it."),
    },
    "Look": {
        "context": Lazy("contexts.commands", "context", "Name clusters; say which one is asked."),
        "status": Lazy("inspection.status", "status", "Show the nodes of a cluster."),
        "doctor": Lazy("inspection.doctor", "doctor", "Look for what is wrong with a cluster."),
        "ring": Lazy("inspection.placement", "ring", "Show how the nodes share the data."),
        "locate": Lazy("inspection.placement", "locate", "Show which nodes hold a key."),
    },
    "Try": {
        "bench": Lazy("trials.bench", "bench", "Put load on a cluster and measure it."),
        "sim": Lazy("trials.sim", "sim", "Search simulated clusters for lost writes."),
    },
}
COMMANDS: Final = {name: lazy for section in SECTIONS.values() for name, lazy in section.items()}
OLD_NAMES: Final = {
    "keys": Lazy(
        "upkeep.sealing_keys",
        "keys",
        "'kvorum keys' is about encryption keys, and is called 'kvorum data-keys' and 'kvorum "
        "master-keys' now; for the keys of entries use 'kvorum ls'",
    )
}
"""Names that still work and are not listed, with what is said to who uses them."""

_WORDS: Final = "kvorum.words"


class LazyGroup(click.Group):
    """A group of commands, each of which is imported when it is called."""

    def main(self, *args: Any, **options: Any) -> Any:
        fill_standard_descriptors()
        return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = COMMANDS.get(cmd_name) or OLD_NAMES.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(f"kvorum.cli.{lazy.module}"), lazy.name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and name not in OLD_NAMES:
            near = next((command for command in COMMANDS if _is_near(name, command)), None)
            hint = f" Did you mean '{near}'?" if near else ""
            raise click.UsageError(f"There is no command '{name}'.{hint}", ctx)
        if name in OLD_NAMES:
            note(OLD_NAMES[name].help, wants_json(ctx.meta[_WORDS]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, lazy.help) for name, lazy in section.items()])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), text) for code, text in EXIT_CODES.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = list(args)
        ctx.terminal_width = help_width()  # of this and of every command's help
        with _meeting_its_user(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _meeting_its_user(ctx):
            return super().invoke(ctx)


@contextmanager
def _meeting_its_user(ctx: click.Context) -> Iterator[None]:
    """What is raised inside ends the program with one line on stderr and an exit code."""
    as_json = wants_json(ctx.meta[_WORDS])
    try:
        with checked_stdout():
            yield
    except KvorumError as error:
        print_failure(error, as_json)
        ctx.exit(exit_code(error))
    except click.UsageError as error:
        if error.ctx is not None and error.message == error.ctx.get_help():
            click.echo(error.message, err=True)  # of a group without a command
        else:
            print_misuse(error, as_json)
        ctx.exit(ExitCode.USAGE)
    except BrokenPipeError:
        ctx.exit(ExitCode.BROKEN_PIPE)
    except Unwritable as error:
        discard_stdout()
        if isinstance(error.reason, BrokenPipeError):  # as in `kvorum export | head`
            ctx.exit(ExitCode.BROKEN_PIPE)
        print_unwritable(error, as_json)
        ctx.exit(ExitCode.CONFIG)
    except (KeyboardInterrupt, Interrupted):
        print_interruption(as_json)
        ctx.exit(ExitCode.INTERRUPTED)


def _is_near(word: str, command: str) -> bool:
    """True if `word` is how `command` begins, or one slip away from it: a letter too many, too few
    or wrong, or two letters that changed places."""
    if command.startswith(word):
        return True
    pairs = enumerate(zip(word, command, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), len(command))
    was, meant = word[same:], command[same:]
    swapped = was[:2] == meant[:2][::-1] and was[2:] == meant[2:]
    return swapped or was[1:] in (meant, meant[1:]) or was == meant[1:]


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="kvorum", message="%(prog)s %(version)s")
def main() -> None:
    """kvorum, a replicated key-value store.

    \b
    kvorum demo                          what it does, in less than a minute
    kvorum up -n 3 --data-dir data       a cluster on this machine
    kvorum set greeting '{"en": "hi"}'   store something in it
    kvorum get greeting                  and read it back

    Commands that ask a cluster take --server HOST:PORT[,HOST:PORT...] or read KVORUM_SERVER, or
    ask that of 'kvorum context use'; any of its servers will do. '-o json' prints for programs,
    errors too.
    """
