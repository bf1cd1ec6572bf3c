"""`kvorum context`: names for clusters, with what is needed to ask them, in a file of the user."""

from __future__ import annotations

import os
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from kvorum.cli.connection import FILE, check_no_secret
from kvorum.cli.output import output_option, print_json, print_result, print_table
from kvorum.client.access import Access
from kvorum.client.contexts import Contexts, check_name, read_contexts
from kvorum.client.options import from_keywords
from kvorum.client.security import Security, over
from kvorum.client.url import Target, read_url
from kvorum.model.errors import ConfigError


@click.group()
def context() -> None:
    """Give clusters names, and say which of them is asked."""


@context.command()
@click.argument("name")
@click.argument("server")
@click.option("--ca", type=FILE, help="The authorities that its certificates must be of.")
@click.option("--cert", type=FILE, help="A certificate of your own.")
@click.option("--cert-key", "key", type=FILE, help="The private key of that certificate.")
@click.option("--token-file", type=FILE, help="A file with a token; only its name is kept.")
@click.option("--token-stdin", is_flag=True, help="Read a token from stdin, and keep it.")
@click.option("--user", metavar="NAME", help="A user in place of a token; see --password-stdin.")
@click.option("--password-stdin", is_flag=True, help="Read a password from stdin, and keep it.")
@click.option("--use", is_flag=True, help="Also ask it from now on, where nothing else is said.")
@output_option
def add(
    name: str,
    server: str,
    token_stdin: bool,
    password_stdin: bool,
    use: bool,
    output: str,
    **options: Any,
) -> None:
    """Call the cluster at SERVER by NAME.

    SERVER is as --server of other commands has it: HOST:PORT[,...], or a URL. Nothing is asked of
    the cluster. The file with the contexts is one that only you may read.

    \b
    kvorum context add shop kvorums://db1,db2 --ca ca.crt --token-file shop.token --use
    kvorum context add shop kvorums://db1 --ca ca.crt --token-stdin < shop.token
    """
    check_no_secret(server)
    contexts = read_contexts()
    if check_name(name) in contexts.by_name:
        raise ConfigError(
            f"There is a context {name!r} already. Remove it with 'kvorum context remove {name}', "
            "or choose another name."
        )
    if token_stdin and password_stdin:
        raise click.UsageError("stdin cannot hold both a token and a password. Give one of them.")
    options["token"] = _secret("token") if token_stdin else None
    options["password"] = _secret("password") if password_stdin else None
    contexts.by_name[name] = _kept(server, options)
    if use:
        contexts.current = name
    contexts.save()
    _print_done(output, contexts, name, "added, and current" if use else "added")


@context.command()
@click.argument("name")
@output_option
def use(name: str, output: str) -> None:
    """Ask the cluster NAME from now on, where nothing else is said.

    What counts for more: --server, --context, KVORUM_SERVER, KVORUM_CONTEXT.

    \b
    kvorum context use shop
    """
    contexts = read_contexts()
    contexts.parsed(name)
    contexts.current = name
    contexts.save()
    _print_done(output, contexts, name, "current")


@context.command("list")
@output_option
def list_contexts(output: str) -> None:
    """Show the contexts, without their secrets.

    \b
    kvorum context list
    """
    contexts = read_contexts()
    listed = [_described(contexts, name) for name in contexts.by_name]
    if output == "json":
        print_json({"file": str(contexts.file), "contexts": listed})
        return
    rows = [
        ("*" if it["current"] else "", it["name"], it["server"], it["credentials"]) for it in listed
    ]
    print_table(f"contexts in {contexts.file}", ("", "name", "server", "credentials"), rows)


@context.command()
@click.argument("name")
@output_option
def remove(name: str, output: str) -> None:
    """Forget the context NAME, and the secrets in it. The cluster is not asked.

    \b
    kvorum context remove shop
    """
    contexts = read_contexts()
    if contexts.by_name.pop(name, None) is None:
        contexts.parsed(name)
    if contexts.current == name:
        contexts.current = None
    contexts.save()
    _print_done(output, contexts, name, "removed")


def _kept(server: str, options: dict[str, Any]) -> dict[str, str]:
    """What the file is to hold. Raises ConfigError if no client could be made of it."""
    parsed = read_url(server)
    target = parsed.target(over(from_keywords(options), parsed.options))
    Access(target.security)
    plain: dict[str, Any] = dict.fromkeys(it.name for it in fields(Security))
    kept = {"server": str(replace(target, **plain))}
    for option in plain:
        value = getattr(target, option)
        if value is not None:
            kept[option] = os.path.abspath(value) if isinstance(value, Path) else value
    return kept


def _described(contexts: Contexts, name: str) -> dict[str, Any]:
    parsed = contexts.parsed(name)
    target = parsed.target(parsed.options)
    return {
        "name": name,
        "current": name == contexts.current,
        "server": str(target),
        "credentials": _credentials(target),
    }


def _credentials(target: Target) -> str:
    if target.token is not None:
        return "a token"
    if target.token_file is not None:
        return "a token file"
    if target.user is not None:
        return f"the user {target.user}"
    return "a certificate" if target.cert is not None else "none"


def _secret(what: str) -> str:
    """A line of stdin, which is not shown."""
    if sys.stdin.isatty():
        typed: str = click.prompt(f"The {what}", hide_input=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _print_done(output: str, contexts: Contexts, name: str, what: str) -> None:
    document = {"file": str(contexts.file), "name": name, "current": contexts.current}
    print_result(output, document, "context", ("name", "it is"), [(name, what)])
