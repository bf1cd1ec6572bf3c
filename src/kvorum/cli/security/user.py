"""`kvorum user`: people and programs who show a password or a client certificate."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from kvorum.cli.confirmation import confirm
from kvorum.cli.connection import asks_cluster
from kvorum.cli.output import output_option, print_result
from kvorum.cli.security.grants import (
    asked,
    shown_grants,
    shown_limits,
    takes_grants,
    takes_limits,
)
from kvorum.cli.security.passwords import password_stdin_option, told_password
from kvorum.cli.security.reach import print_reach
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.documents.security import ShownUser
from kvorum.model.errors import NotFound


@click.group()
def user() -> None:
    """Make, alter, list and remove users.

    A user shows a name and password, or a client certificate of that name. Programs had better have
    a token each: see 'kvorum token'.

    \b
    kvorum user add ann --role operator
    kvorum user add billing --role reader --no-password
    """


@user.command()
@click.argument("name")
@takes_grants
@password_stdin_option
@click.option("--no-password", is_flag=True, help="It shows a client certificate of that name.")
@takes_limits
@asks_cluster
@output_option
def add(
    target: Target,
    name: str,
    grants: list[dict[str, Any]],
    password_stdin: bool,
    no_password: bool,
    limits: dict[str, int] | None,
    output: str,
) -> None:
    """Make the user NAME.

    The password is asked for twice, or read from stdin. It has at least 8 characters.

    \b
    kvorum user add ann --role operator --role writer
    pass show kvorum/ann | kvorum user add ann --role reader --password-stdin
    kvorum user add billing --role reader --namespace bills --no-password
    """
    if password_stdin and no_password:
        raise click.UsageError("--password-stdin and --no-password exclude each other")
    password = None if no_password else told_password(password_stdin)
    changed = asked(
        target,
        lambda client: client.set_user(
            name, grants=grants, password=password, limits=limits, exists=False
        ),
    )
    print_reach(output, f"user {name}: {shown_grants(changed.user.grants)}", changed)


@user.command()
@click.argument("name")
@password_stdin_option
@asks_cluster
@output_option
def passwd(target: Target, name: str, password_stdin: bool, output: str) -> None:
    """Give the user NAME another password. The old one counts no more.

    \b
    kvorum user passwd ann
    """
    password = told_password(password_stdin)
    changed = asked(target, lambda client: client.set_user(name, password=password, exists=True))
    print_reach(output, f"user {name}: has another password", changed)


@user.command()
@click.argument("name")
@takes_grants
@click.option("--only", is_flag=True, help="In place of all roles that it had.")
@asks_cluster
@output_option
def grant(target: Target, name: str, grants: list[dict[str, Any]], only: bool, output: str) -> None:
    """Give the user NAME more roles, or with --only other ones.

    It counts for what NAME does from then on, also on connections that are open.

    \b
    kvorum user grant ann --role writer --namespace orders
    kvorum user grant ann --role reader --only
    """
    if not only:
        held = _found(asked(target, Client.users), name).grants
        had = [msgspec.to_builtins(one) for one in held]
        grants = had + [one for one in grants if one not in had]
    changed = asked(target, lambda client: client.set_user(name, grants=grants, exists=True))
    print_reach(output, f"user {name}: {shown_grants(changed.user.grants)}", changed)


@user.command("list")
@asks_cluster
@output_option
def list_users(target: Target, output: str) -> None:
    """Show all users of the cluster, and what they may do.

    \b
    kvorum user list
    """
    found = asked(target, Client.users)
    rows = [
        (
            one.name,
            shown_grants(one.grants),
            "password" if one.has_password else "certificate",
            shown_limits(one.limits),
        )
        for one in found
    ]
    columns = ("name", "roles", "shows", "limits")
    print_result(output, {"users": found}, "users", columns, rows)


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def remove(target: Target, name: str, yes: bool, output: str) -> None:
    """End the user NAME, on all nodes within a second.

    Neither the password nor a certificate of that name is accepted any more.

    \b
    kvorum user remove ann
    """
    _found(asked(target, Client.users), name)
    if not yes:
        confirm(f"Remove the user {name!r}?")
    reach = asked(target, lambda client: client.remove_user(name))
    print_reach(output, f"user {name} removed", reach)


def _found(users: list[ShownUser], name: str) -> ShownUser:
    """Raises NotFound."""
    for one in users:
        if one.name == name:
            return one
    raise NotFound(f"No such user: {name!r}. 'kvorum user list' shows those that there are.")
