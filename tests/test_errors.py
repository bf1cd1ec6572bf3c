"""The public module of errors."""

from __future__ import annotations

import kvorum
from kvorum import errors
from kvorum.model.errors import BY_CODE


def test_every_error_that_a_server_may_tell_is_there() -> None:
    assert set(BY_CODE.values()) <= {getattr(errors, name) for name in errors.__all__}
    assert kvorum.errors is errors
    assert all(name in (errors.__doc__ or "") for name in errors.__all__)
