"""Contexts: clusters that a user has given names, in a file of that user's.

    ~/.config/kvorum/contexts.toml            ($XDG_CONFIG_HOME/kvorum/contexts.toml)

    current = "shop"

    [contexts."shop"]
    server = "kvorums://db1,db2?namespace=orders"
    ca = "/etc/kvorum/ca.crt"
    token_file = "/home/ada/.kvorum-token"

`server` is a kvorum URL; the others are `ca`, `cert`, `key`, `token`, `token_file`, `user` and
`password`, as in `connect`. Names of files that are not absolute begin at the folder of this file.
If it holds a secret, nobody else may read it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from kvorum.client.options import from_keywords
from kvorum.client.security import SECRETS, Security, over
from kvorum.client.url import ParsedUrl, has_credentials, read_url
from kvorum.model.errors import ConfigError

_SERVER: Final = "server"
_OPTIONS: Final = tuple(it.name for it in fields(Security))
_FILES: Final = ("ca", "cert", "key", "token_file")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ESCAPED: Final = {ord(char): f"\\{char}" for char in '\\"'} | {
    code: f"\\u{code:04X}" for code in (*range(32), 127)
}


@dataclass(slots=True)
class Contexts:
    """The contexts of a user: for each name the server and options, as texts."""

    file: Path
    current: str | None = None
    by_name: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    def parsed(self, name: str) -> ParsedUrl:
        """The servers of the context `name`, and its options. Raises ConfigError."""
        context = self.by_name.get(name)
        if context is None:
            known = ", ".join(self.by_name) or "none"
            raise ConfigError(
                f"There is no context {name!r} in {self.file}; there is {known}. Make it with "
                f"'kvorum context add {name} SERVER'."
            )
        try:
            parsed = read_url(context.get(_SERVER, ""))
            texts = {option: context[option] for option in _OPTIONS if option in context}
            given = from_keywords(texts)
            options = over(given, parsed.options)
            options |= {it: self.file.parent / options[it] for it in _FILES if it in options}
            return parsed._replace(options=options)
        except ConfigError as error:
            raise ConfigError(f"The context {name!r} in {self.file}: {error.message}") from error

    def save(self) -> None:
        """Write the file, which only its owner may read. Raises ConfigError."""
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.file, _to_toml(self))
        except OSError as error:
            raise ConfigError(
                f"The contexts cannot be written to {self.file}: {error.strerror or error}."
            ) from error


def file_of_contexts() -> Path | None:
    """Where this user's contexts are; None if the user has no home."""
    if (given := Path(os.environ.get("XDG_CONFIG_HOME", ""))).is_absolute():
        return given / "kvorum" / "contexts.toml"
    try:
        return Path.home() / ".config" / "kvorum" / "contexts.toml"
    except RuntimeError:
        return None


def read_contexts() -> Contexts:
    """The contexts of this user, which may be none. Raises ConfigError if their file is no such
    file, or holds secrets that others may read."""
    file = file_of_contexts()
    if file is None:
        raise ConfigError("This user has no home directory for contexts. Set XDG_CONFIG_HOME.")
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            document = tomllib.load(stream)
    except FileNotFoundError:
        return Contexts(file)
    except OSError as error:
        raise ConfigError(
            f"The contexts cannot be read: {file}: {error.strerror or error}. Make the file "
            "readable, or give a server."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        made = None  # What the parser says may show a secret.
    else:
        made = _of_document(file, document)
    if made is None:
        raise ConfigError(
            f"{file} is not a file of contexts. Write it as docs/connecting.md shows, or move it "
            "away and use 'kvorum context add'."
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and _holds_secret(made):
        raise ConfigError(
            f"Other users may read {file}, which holds secrets. Take that from them with "
            f"'chmod 600 {file}', and use new secrets."
        )
    return made


def parsed(name: str) -> ParsedUrl:
    """The servers and options of the context `name`. Raises ConfigError."""
    return read_contexts().parsed(name)


def current() -> ParsedUrl | None:
    """Those of the current context; None if there is none. Raises ConfigError."""
    if file_of_contexts() is None:
        return None
    contexts = read_contexts()
    return None if contexts.current is None else contexts.parsed(contexts.current)


def check_name(name: str) -> str:
    """Raises ConfigError if no context can be called `name`."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"No context can be called {name!r}: a name has 1 to 64 letters, digits, '_', '.', "
            "'-', and begins with a letter or digit. Choose another one."
        )
    return name


def _of_document(file: Path, document: dict[str, Any]) -> Contexts | None:
    """None if it is none of contexts."""
    current, by_name = document.get("current"), document.get("contexts", {})
    if document.keys() - {"current", "contexts"} or not isinstance(current, str | None):
        return None
    if not isinstance(by_name, dict):
        return None
    for context in by_name.values():
        if not isinstance(context, dict) or context.keys() - {_SERVER, *_OPTIONS}:
            return None
        if not all(isinstance(text, str) for text in context.values()):
            return None
    return Contexts(file, current, by_name)


def _holds_secret(contexts: Contexts) -> bool:
    return any(
        SECRETS & context.keys() or has_credentials(context.get(_SERVER, ""))
        for context in contexts.by_name.values()
    )


def _to_toml(contexts: Contexts) -> str:
    lines = [] if contexts.current is None else [f"current = {_quoted(contexts.current)}", ""]
    for name, context in contexts.by_name.items():
        lines.append(f"[contexts.{_quoted(name)}]")
        lines += [f"{option} = {_quoted(text)}" for option, text in context.items()]
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return f'"{text.translate(_ESCAPED)}"'


def _replace(file: Path, text: str) -> None:
    """All of it or nothing: it is written beside and then given the file's name."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
