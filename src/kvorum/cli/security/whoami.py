"""`kvorum whoami`: who a command is to the cluster that it asks."""

from __future__ import annotations

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.moments import to_the_second
from kvorum.cli.output import note, output_option, print_result
from kvorum.cli.security.grants import asked, shown_grants
from kvorum.client.synchronous import Client
from kvorum.client.url import Target


@click.command()
@asks_cluster
@output_option
def whoami(target: Target, output: str) -> None:
    """Show who you are to the cluster, and what you may do there.

    \b
    kvorum whoami
    KVORUM_TOKEN_FILE=shop.token kvorum whoami
    """
    me = asked(target, Client.whoami)
    roles = shown_grants(me.grants) if me.secure else "everything"
    row = (me.name, me.kind, roles, to_the_second(me.expires_ms) or "never")
    print_result(output, me, "whoami", ("name", "kind", "roles", "expires"), [row])
    if not me.secure and output != "json":
        note("this cluster authenticates nobody, so everybody may do everything", as_json=False)
