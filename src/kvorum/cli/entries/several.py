"""One command for several keys: each is done by itself, and a key that fails keeps no other back.

The errors go to stderr, one a line, and name their keys. What all keys failed for alike, as a
cluster that nobody can reach, is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from kvorum.cli.entries.option_terms import in_option_terms
from kvorum.cli.errors import ExitCode, print_failure
from kvorum.client.answers import Result
from kvorum.client.entry import Entry
from kvorum.model.errors import ConnectionFailed, KvorumError, from_code


def one_by_one(
    keys: Iterable[str], act: Callable[[str], Entry], *, if_absent: bool = False
) -> list[Result]:
    """What `act` returns for each key, or the error it raises. Once no server can be reached, the
    keys that follow are not tried."""
    results: list[Result] = []
    unreachable: ConnectionFailed | None = None
    for key in keys:
        if unreachable is not None:
            results.append(unreachable)
            continue
        try:
            with in_option_terms(key, if_absent=if_absent):
                results.append(act(key))
        except KvorumError as error:
            unreachable = error if isinstance(error, ConnectionFailed) else None
            results.append(error)
    return results


def tell_each(
    keys: Sequence[str],
    results: Sequence[Result],
    tell: Callable[[list[Entry]], None],
    *,
    as_json: bool,
) -> None:
    """Have `tell` print the entries, print the errors, and end the command accordingly. Raises what
    all keys failed for alike."""
    done = [result for result in results if isinstance(result, Entry)]
    failed = [
        (key, result)
        for key, result in zip(keys, results, strict=True)
        if isinstance(result, KvorumError)
    ]
    if not done and len({(error.code, error.message) for _, error in failed}) == 1:
        raise failed[0][1]
    if done:
        tell(done)
    for key, error in failed:
        print_failure(_naming(key, error), as_json)
    if failed:
        unknown = any(error.outcome == "unknown" for _, error in failed)
        click.get_current_context().exit(ExitCode.UNKNOWN if unknown else ExitCode.NOT_FOUND)


def _naming(key: str, error: KvorumError) -> KvorumError:
    """`error`, which may be that of other keys too, as what is to say of `key`."""
    message = error.message if repr(key) in error.message else f"{key!r}: {error.message}"
    return from_code(error.code, message, error.outcome, {**error.details, "key": key})
