"""`kvorum role`: names for permissions, which tokens and users are given."""

from __future__ import annotations

from typing import Any

import click

from kvorum.cli.confirmation import confirm
from kvorum.cli.connection import asks_cluster
from kvorum.cli.output import output_option, print_result
from kvorum.cli.security.grants import asked, namespace_option, prefix_option, shown_scope
from kvorum.cli.security.reach import print_reach
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.model.permissions import Permission


class _Permissions(click.types.StringParamType):
    """Permissions with commas between."""

    name = "permissions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",")]
        unknown = [name for name in names if name not in set(Permission)]
        if unknown:
            self.fail(
                f"There is no permission {unknown[0]!r}. The permissions are "
                f"{', '.join(Permission)}.",
                param,
                ctx,
            )
        return names


@click.group()
def role() -> None:
    """Make, list and remove roles.

    A role is a name for permissions, everywhere or in one namespace, for all keys or those that
    begin with a prefix. Every cluster has the roles reader, writer, monitor, operator and admin.

    \b
    kvorum role create clerk --allow read,list --namespace orders
    kvorum user grant ann --role clerk
    """


@role.command()
@click.argument("name")
@click.option(
    "--allow",
    "permissions",
    type=_Permissions(),
    required=True,
    multiple=True,
    metavar="PERMISSION[,...]",
    help=f"What it allows: {', '.join(Permission)}.",
)
@namespace_option
@prefix_option
@click.option("--replace", is_flag=True, help="In place of the role that has the name, if any.")
@asks_cluster
@output_option
def create(
    target: Target,
    name: str,
    permissions: tuple[list[str], ...],
    in_namespace: str | None,
    prefix: str,
    replace: bool,
    output: str,
) -> None:
    """Make the role NAME.

    With --replace it changes what all those may do who have the role, at once.

    \b
    kvorum role create clerk --allow read,list --namespace orders
    kvorum role create archivist --allow read,list,delete --prefix archive/
    kvorum role create clerk --allow read --namespace orders --replace
    """
    allowed = [one for some in permissions for one in some]
    changed = asked(
        target,
        lambda client: client.set_role(
            name,
            allowed,
            namespace=in_namespace,
            prefix=prefix,
            exists=None if replace else False,
        ),
    )
    shown = ", ".join(changed.role.permissions)
    scope = shown_scope(changed.role.namespace, changed.role.prefix)
    print_reach(output, f"role {name}: {shown} {scope}".rstrip(), changed)


@role.command("list")
@asks_cluster
@output_option
def list_roles(target: Target, output: str) -> None:
    """Show all roles, also those that every cluster has.

    \b
    kvorum role list
    """
    found = asked(target, Client.roles)
    rows = [
        (
            one.name,
            ", ".join(one.permissions),
            shown_scope(one.namespace, one.prefix),
            "yes" if one.built_in else "",
        )
        for one in found
    ]
    columns = ("name", "allows", "where", "built in")
    print_result(output, {"roles": found}, "roles", columns, rows)


@role.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def remove(target: Target, name: str, yes: bool, output: str) -> None:
    """End the role NAME, which nobody may have any more.

    \b
    kvorum role remove clerk
    """
    if not yes:
        confirm(f"Remove the role {name!r}?")
    reach = asked(target, lambda client: client.remove_role(name))
    print_reach(output, f"role {name} removed", reach)
