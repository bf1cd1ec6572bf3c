"""`kvorum token`: what programs show to say who they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from kvorum.cli.confirmation import confirm
from kvorum.cli.connection import asks_cluster
from kvorum.cli.moments import now_ms, to_the_second
from kvorum.cli.output import output_option, print_json, print_result
from kvorum.cli.parameter_types import NonEmptyPath, parse_span
from kvorum.cli.security.grants import (
    asked,
    shown_grants,
    shown_limits,
    takes_grants,
    takes_limits,
)
from kvorum.cli.security.offline import create_offline, revoke_offline, wish_of
from kvorum.cli.security.reach import list_of, note_missing, print_reach
from kvorum.cli.stopped_node import DIRECTORY
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.documents.security import MadeToken, ShownToken
from kvorum.model.errors import ConfigError, NotFound, RequestError

_DAY_S: Final = 86_400
_LIFETIME_S_MAX: Final = 3650 * _DAY_S


class _Expiry(click.types.StringParamType):
    """In how many seconds a token expires; None for never."""

    name = "expiry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = parse_span(value)
        if not seconds or seconds > _LIFETIME_S_MAX:
            self.fail(
                f"{value!r} is no lifetime of a token. Give seconds, or a number with a unit, as "
                "12h, 90d or 52w; at most 3650d. Without --expires it counts until it is revoked.",
                param,
                ctx,
            )
        return seconds


@click.group()
def token() -> None:
    """Make, list and revoke tokens.

    A token is a secret that a program shows to say who it is. It has roles, which say what it may
    do, and it can expire.

    \b
    kvorum token create shop --role writer --namespace orders --expires 90d > shop.token
    KVORUM_TOKEN_FILE=shop.token kvorum get cart:7 --namespace orders
    """


@token.command()
@click.argument("name")
@takes_grants
@click.option(
    "--expires",
    type=_Expiry(),
    metavar="TIME",
    help="After how long it is not accepted any more, as in 12h or 90d.  [default: never]",
)
@takes_limits
@click.option(
    "--to",
    "file",
    type=NonEmptyPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to a new file that only you may read, instead of stdout.",
)
@click.option(
    "--offline",
    "data_dir",
    type=DIRECTORY,
    metavar="DATA_DIR",
    help="Add it to the files of this stopped node: for whoever has lost all other tokens.",
)
@asks_cluster
@output_option
def create(
    target: Target,
    name: str,
    grants: list[dict[str, Any]],
    expires: int | None,
    limits: dict[str, int] | None,
    file: Path | None,
    data_dir: Path | None,
    output: str,
) -> None:
    """Make a token for the program NAME, and print it.

    It is printed this once: the nodes keep only a digest, so nobody can show it again. All else is
    on stderr. Several roles are given by several --role; --namespace and --prefix narrow them all.

    \b
    kvorum token create shop --role writer --namespace orders --expires 90d > shop.token
    kvorum token create metrics --role monitor --to metrics.token
    kvorum token create report --role reader --prefix 2026/ --limit-requests 100
    kvorum token create root --role admin --to root.token --offline /var/lib/kvorum/n1
    """

    def ask(client: Client) -> MadeToken:
        return client.create_token(name, grants=grants, expires=expires, limits=limits)

    def make() -> MadeToken:
        if data_dir is not None:
            return create_offline(data_dir, wish_of(name, grants, expires, limits))
        return asked(target, ask)

    def revoke_again(made: MadeToken) -> None:
        if data_dir is not None:
            revoke_offline(data_dir, made.id)
        else:
            asked(target, lambda client: client.revoke_token(made.id))

    if file is None:
        made = make()
        if output == "json":
            print_json(made)
        else:
            click.echo(made.token)
    else:
        made = _made_to(file, make, revoke_again)
        if output == "json":
            document = msgspec.to_builtins(made)
            print_json({**document, "token": None, "file": str(file)})
    if output != "json":
        _tell(made, file, data_dir)
    note_missing(output, made)


@token.command("list")
@asks_cluster
@output_option
def list_tokens(target: Target, output: str) -> None:
    """Show all tokens of the cluster: who has them, and what they may do.

    \b
    kvorum token list
    """
    found = asked(target, Client.tokens)
    columns = ("id", "name", "roles", "created", "expires", "limits")
    rows = [_row(one) for one in found]
    print_result(output, {"tokens": found}, "tokens", columns, rows)


@token.command()
@click.argument("token", metavar="ID|NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def revoke(target: Target, token: str, yes: bool, output: str) -> None:
    """Have a token not accepted any more, on all nodes within a second.

    If several tokens have that name, give the id. A node that is down hears of it when it is back.

    \b
    kvorum token revoke shop
    kvorum token revoke 9f2c41d07b3e --yes
    """
    found = _found(asked(target, Client.tokens), token)
    if not yes:
        confirm(f"Revoke the token {found.name!r} ({found.id}) for good?")
    reach = asked(target, lambda client: client.revoke_token(found.id))
    print_reach(output, f"token {found.name} ({found.id}) revoked", reach)


def _found(tokens: list[ShownToken], wanted: str) -> ShownToken:
    """The token of that id or name. Raises NotFound, or RequestError if several have the name."""
    # A name may look like an id.
    of_id = [one for one in tokens if one.id == wanted]
    found = of_id or [one for one in tokens if one.name == wanted]
    if not found:
        raise NotFound(
            f"No token has the id or name {wanted!r}. 'kvorum token list' shows those that there "
            "are."
        )
    if len(found) > 1:
        ids = list_of([one.id for one in found])
        raise RequestError(f"{len(found)} tokens are called {wanted!r}: {ids}. Give the id of one.")
    return found[0]


def _made_to(
    file: Path, make: Callable[[], MadeToken], revoke_again: Callable[[MadeToken], None]
) -> MadeToken:
    """A token that is in `file` when this returns; one that cannot be written is revoked."""
    with _new_private(file) as stream:
        made = make()
        try:
            stream.write(f"{made.token}\n".encode())
            os.fsync(stream.fileno())
        except OSError as error:
            revoke_again(made)
            raise ConfigError(
                f"The token cannot be written to {file}: {error.strerror}. It was revoked; make "
                "room, and repeat this."
            ) from error
    return made


@contextmanager
def _new_private(path: Path) -> Iterator[FileIO]:
    """A new file that nobody else may read; it is gone again if something fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(
            f"There is a file {path} already, and no token was made. Name another one, or delete "
            "it first."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"The file {path} cannot be made: {error.strerror}. No token was made; name a file in "
            "a directory that you may write to."
        ) from error
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        try:
            yield stream
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _tell(made: MadeToken, file: Path | None, data_dir: Path | None) -> None:
    """What was made and how it is used, on stderr: stdout has the token alone."""
    until = f", until {to_the_second(made.expires_ms)}" if made.expires_ms else ""
    limits = f", {shown_limits(made.limits)}" if made.limits else ""
    where = "" if file is None else f" It is in {file}."
    if data_dir is None:
        effect = f"in effect on {list_of(made.known_by)}"
    else:
        effect = f"in effect when the node in {data_dir} is started, which tells the others"
    click.echo(
        f"token {made.name} ({made.id}): {shown_grants(made.grants)}{limits}{until}; {effect}."
        f"{where} It cannot be shown again.",
        err=True,
    )
    shown = file or "FILE"
    click.echo(
        f"use it:  KVORUM_TOKEN_FILE={shown} kvorum whoami\n"
        f"    or:  kvorums://HOST:PORT?ca=ca.crt&token_file={shown} as the URL of a program",
        err=True,
    )


def _row(token: ShownToken) -> tuple[object, ...]:
    expires = to_the_second(token.expires_ms) or "never"
    if token.expires_ms and token.expires_ms <= now_ms():
        expires = "expired"
    return (
        token.id,
        token.name,
        shown_grants(token.grants),
        to_the_second(token.created_ms) or "at the start",
        expires,
        shown_limits(token.limits),
    )
