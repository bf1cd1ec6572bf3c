"""What is refused about a key, in the terms of a command's options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kvorum.model.errors import InvalidVersion, NotFound, PreconditionFailed


@contextmanager
def in_option_terms(key: str, *, if_absent: bool = False) -> Iterator[None]:
    """What is refused about `key` inside names options, and not the client's arguments."""
    try:
        yield
    except PreconditionFailed as error:
        raise PreconditionFailed(
            f"The key {key!r} has a value already. Leave out --if-absent to replace it."
            if if_absent
            else f"The key {key!r} is not at the version given with --if-version. Look at it with "
            "'kvorum get --all', and decide anew.",
            **error.details,
        ) from error
    except InvalidVersion as error:
        raise InvalidVersion(
            f"The given version is not one of the key {key!r}. Give the one that 'kvorum get "
            "--all' shows.",
            **error.details,
        ) from error
    except NotFound as error:
        raise NotFound(error.message.replace("version=", "--version"), **error.details) from error
