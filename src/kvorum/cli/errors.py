"""How errors reach the user of a command: one line on stderr and a stable exit code.

With `-o json` the line is JSON: {"error": {"code", "message", "outcome", ...details}}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import click

from kvorum.cli.stdout import Unwritable
from kvorum.model.errors import (
    AccessDenied,
    ConfigError,
    KvorumError,
    NamespaceNotFound,
    NotFound,
    PreconditionFailed,
    QuorumError,
    RequestError,
    TooManyAttempts,
    TooManySiblings,
    Unauthenticated,
)


class ExitCode(IntEnum):
    """With what a command ends; scripts rely on these."""

    OK = 0
    NOT_FOUND = 1
    USAGE = 2
    UNAVAILABLE = 3
    UNKNOWN = 4
    CONFIG = 5
    REFUSED = 6
    INCOMPLETE = 7
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_CODES: Final = {
    ExitCode.OK: "done",
    ExitCode.NOT_FOUND: "no such key or namespace, one of several keys failed, 'doctor' found "
    "failures, or 'audit verify' or 'certs list' found something wrong",
    ExitCode.USAGE: "the command or the request is wrong",
    ExitCode.UNAVAILABLE: "the cluster could not do it; nothing was changed",
    ExitCode.UNKNOWN: "it may or may not have been done: look before you repeat it",
    ExitCode.CONFIG: "a file, an option or a directory is wrong",
    ExitCode.REFUSED: "a condition did not hold, lines of a file were rejected, or whoever asks "
    "may not",
    ExitCode.INCOMPLETE: "all was done that could be, and what is missing is named",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.BROKEN_PIPE: "nobody read the output to its end",
}


NEXT_STEP: Final = "next_step"
"""The detail of an error in which a command says how to go on."""

_ADVICE: Final[dict[str, str | None]] = {
    "not_found": "Check the key and --namespace, or store it with 'kvorum set'",
    "invalid_version": "Give the version that 'kvorum get --all' shows, unchanged",
    "precondition_failed": "Look at the entry with 'kvorum get --all', and decide anew",
    "too_many_siblings": "Look at them with 'kvorum get --all', and resolve them with "
    "'kvorum set --version'",
    "unauthenticated": "Say who asks: with --token-file, KVORUM_TOKEN or 'kvorum context add'",
    "too_many_attempts": "Retry later, with the right token or password",
    "access_denied": "Ask an administrator for a role that allows it",
    "too_many_requests": "Retry later, or ask an administrator for a higher limit",
    "unavailable": "Retry later; 'kvorum status' shows which nodes are up",
    "timeout": "Retry later, or with a longer --timeout",
    "connection_failed": "Retry later; 'kvorum status' shows which nodes are up",
    "overloaded": "Retry later",
    "protocol": "Run the same version of kvorum with the same cluster file on all nodes",
    "error": "See the node's log",
    "internal_error": "Report it with the node's log",
    "invalid_key": None,
    "invalid_value": None,
}
"""By code: in place of a server's advice, where that is for those who speak HTTP. None where the
message says it all.
"""
_UNKNOWN: Final = "It may have been carried out: read before you repeat it"

_PLAIN: Final = {
    "is not a valid integer range": "is not a whole number",
    "is not a valid integer": "is not a whole number",
    "is not a valid float": "is not a number",
}
"""What is said in place of the types that click names."""


class Incomplete(KvorumError):
    """A command has done what it could, and names what is missing."""

    code = "incomplete"


class Interrupted(Exception):
    """A signal ended the command, which has cleaned up behind itself."""


def exit_code(error: KvorumError) -> ExitCode:
    """The exit code of a command that ends with `error`."""
    if error.outcome == "unknown":
        return ExitCode.UNKNOWN
    match error:
        case NotFound() | NamespaceNotFound():
            return ExitCode.NOT_FOUND
        case PreconditionFailed() | TooManySiblings():
            return ExitCode.REFUSED
        case Unauthenticated() | TooManyAttempts() | AccessDenied():
            return ExitCode.REFUSED
        case RequestError():
            return ExitCode.USAGE
        case ConfigError():
            return ExitCode.CONFIG
        case Incomplete():
            return ExitCode.INCOMPLETE
    return ExitCode.UNAVAILABLE


def print_failure(error: KvorumError, as_json: bool) -> None:
    """What is wrong, and what to do next."""
    stated = {"code": error.code, "message": error.message, "outcome": error.outcome}
    details = {name: value for name, value in error.details.items() if name != "advice"}
    if advice := _advice(error):
        stated["advice"] = advice
    _print({**details, **stated}, _sentences(error.message, _next_step(error)), as_json)


def print_misuse(error: click.UsageError, as_json: bool) -> None:
    """What is wrong with the command line, and where help is."""
    command = error.ctx.command_path if error.ctx else "kvorum"
    message = _sentences(_plain(error.format_message()), f"See '{command} --help'")
    _print({"code": "usage", "message": message, "outcome": "none"}, message, as_json)


def print_interruption(as_json: bool) -> None:
    message = "interrupted"
    _print({"code": message, "message": message, "outcome": "unknown"}, message, as_json)


def print_unwritable(error: Unwritable, as_json: bool) -> None:
    """What the command was to do, it may have done."""
    reason = error.reason.strerror or error.reason
    message = f"Cannot write to stdout: {reason}. Send the output elsewhere, or make room."
    _print({"code": "output", "message": message, "outcome": "unknown"}, message, as_json)


def wants_json(words: Sequence[str]) -> bool:
    """True if a command line says `-o json`, even if it is wrong otherwise."""
    if "--" in words:
        words = words[: words.index("--")]
    joined = {"-ojson", "--output=json"}
    return any(
        word in joined or (word == "json" and before in ("-o", "--output"))
        for before, word in zip(("", *words), words, strict=False)
    )


def one_line(text: str) -> str:
    """`text` on one line, and without anything that could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))


def _next_step(error: KvorumError) -> str:
    """What a message does not say itself."""
    step = error.details.get(NEXT_STEP)
    if isinstance(step, str):
        return step
    if error.outcome == "unknown":
        return _UNKNOWN
    return _advice(error) or ""


def _advice(error: KvorumError) -> str | None:
    """The advice that came with `error`, in the terms of a command; None if there is none."""
    advice = error.details.get("advice")
    if not isinstance(advice, str):
        return None
    if error.outcome == "unknown":
        return _UNKNOWN
    if isinstance(error, QuorumError):
        return f"Retry later{_with_a_smaller_quorum()}"
    return _ADVICE.get(error.code, advice)


def _with_a_smaller_quorum() -> str:
    """What the command that runs can do about a quorum that was not met: -r is for one that reads,
    -w for one that writes, and many take neither."""
    ctx = click.get_current_context(silent=True)
    command = ctx.command if ctx else None
    if ctx and isinstance(command, click.Group) and ctx.invoked_subcommand:
        command = command.get_command(ctx, ctx.invoked_subcommand)
    names = {option.name for option in command.params} if command else set()
    options = [f"-{name}" for name in ("r", "w") if name in names]
    if not options:
        return ""
    return f", or with a smaller {' or '.join(options)} if weaker guarantees will do"


def _plain(message: str) -> str:
    """A message of click's, without the names of its types and a period behind a question mark."""
    for type_name, words in _PLAIN.items():
        message = message.replace(type_name, words)
    return message.replace("'?.", "'?")


def _sentences(message: str, step: str) -> str:
    """`message`, which may begin with a file's name, and `step`, if there is one, as sentences."""
    if not step:
        return message
    end = "" if message.endswith("?") else "."
    return f"{message.rstrip('.')}{end} {step[0].upper()}{step[1:].rstrip('.')}."


def _print(error: dict[str, Any], text: str, as_json: bool) -> None:
    line = json.dumps({"error": error}, default=str) if as_json else f"error: {one_line(text)}"
    click.echo(line, err=True)
