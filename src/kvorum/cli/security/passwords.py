"""Passwords as a command is told them: from the terminal, twice, or from stdin. Never as a word of
the command line, which every user of the machine may see.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from kvorum.cli.parameter_types import opened_stdin
from kvorum.model.errors import RequestError
from kvorum.service.security_wishes import PASSWORD_BYTES_MAX, checked_password

password_stdin_option: Final = click.option(
    "--password-stdin", is_flag=True, help="Read the password from stdin, instead of asking."
)


def told_password(from_stdin: bool) -> str:
    """A new password. Raises RequestError if it cannot be one, and UsageError if nobody can be
    asked."""
    password = _read() if from_stdin else _asked()
    checked_password(password)
    return password


def _read() -> str:
    data = opened_stdin().read(PASSWORD_BYTES_MAX + 3)
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    try:
        password = data.decode()
    except UnicodeDecodeError:
        raise RequestError("What is on stdin is no UTF-8, so it is no password.") from None
    if "\n" in password:
        raise RequestError("There are several lines on stdin. Give the password alone.")
    return password


def _asked() -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask for the password. Give it by --password-stdin",
            click.get_current_context(),
        )
    password = click.prompt("Password", hide_input=True, err=True)
    # Before it is typed once more.
    checked_password(password)
    if click.prompt("The same once more", hide_input=True, err=True) != password:
        raise RequestError("The passwords differ, so nothing was changed. Try again.")
    return str(password)
