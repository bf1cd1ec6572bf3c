"""Passwords: how they are kept, and how they are verified without holding anybody up.

scrypt (RFC 7914) with N = 2^15, r = 8, p = 3, as OWASP's Password Storage Cheat Sheet advises:
32 MiB of memory and about 0.2 s of a processor for each guess. The parameters are kept with each
password, so later versions may choose others.

The work is done in a thread, one password at a time; so it takes no more than one core and 32 MiB,
however many ask. Those who have to wait for it are bounded: 64, who wait 13 s at most.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from kvorum.model.errors import ConfigError, KvorumError, Overloaded
from kvorum.model.security_values import Password

N: Final = 1 << 15
R: Final = 8
P: Final = 3
WORK_BYTES: Final = 128 * N * R
WAITING_MAX: Final = 64

_WORK_BYTES_MAX: Final = 256 << 20
_SALT_BYTES: Final = 16
_DERIVED_BYTES: Final = 32
_RETRY_S: Final = 5

_logger: Final = logging.getLogger(__name__)

NO_PASSWORD: Final = Password(n=N, r=R, p=P, salt="00" * _SALT_BYTES, derived="00" * _DERIVED_BYTES)
"""That of users that there are not: no password gives it, and trying one is the same work."""


def kept_password(password: bytes) -> Password:
    """What is kept of a new password. Takes about 0.2 s; call it in a thread (`PasswordWork`)."""
    salt = secrets.token_bytes(_SALT_BYTES)
    derived = _scrypt(password, salt, N, R, P)
    return Password(n=N, r=R, p=P, salt=salt.hex(), derived=derived.hex())


def fits(password: bytes, kept: Password) -> bool:
    """True if `kept` is of this password. Raises ConfigError if no password can be compared."""
    try:
        salt, expected = bytes.fromhex(kept.salt), bytes.fromhex(kept.derived)
        derived = _scrypt(password, salt, kept.n, kept.r, kept.p)
    except (ValueError, OverflowError, MemoryError):
        raise ConfigError(
            "A user's password is kept in a form that this node cannot verify. Set it anew with "
            "'kvorum user passwd'."
        ) from None
    return hmac.compare_digest(derived, expected)


def _scrypt(password: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password, salt=salt, n=n, r=r, p=p, maxmem=_WORK_BYTES_MAX, dklen=_DERIVED_BYTES
    )


class _Job:
    __slots__ = ("objection", "reply", "work")

    def __init__(
        self,
        work: Callable[[], Any],
        reply: Callable[[Any], object],
        objection: Callable[[], KvorumError | None],
    ) -> None:
        self.work: Final = work
        self.reply: Final = reply
        self.objection: Final = objection


class PasswordWork:
    """Does the work of passwords in a thread, one after another."""

    def __init__(self, hand_over: Callable[..., object], waiting_max: int = WAITING_MAX) -> None:
        """`hand_over(callback, *args)` has the loop call back; it may be called from a thread."""
        self._hand_over = hand_over
        self._waiting_max = waiting_max
        self._waiting: deque[_Job] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False

    def verify(
        self,
        password: bytes,
        kept: Password,
        reply: Callable[[bool | KvorumError], object],
        objection: Callable[[], KvorumError | None] = lambda: None,
    ) -> None:
        """`reply(True)` if `kept` is of this password. One that had to wait for its turn is not
        looked at if there is an `objection` by then, which is the reply. Raises Overloaded if too
        many are waiting.
        """
        self._add(_Job(lambda: fits(password, kept), reply, objection))

    def keep(self, password: bytes, reply: Callable[[Password | KvorumError], object]) -> None:
        """`reply` with what is to be kept of a new password. Raises Overloaded."""
        self._add(_Job(lambda: kept_password(password), reply, lambda: None))

    def close(self) -> None:
        """Wait for what is under way; there are no more replies."""
        self._closing = True
        self._waiting.clear()
        if self._thread is not None:
            self._thread.join()

    def _add(self, job: _Job) -> None:
        if self._thread is None:
            self._begin(job)
        elif len(self._waiting) < self._waiting_max:
            self._waiting.append(job)
        else:
            raise Overloaded(
                f"{self._waiting_max} passwords are waiting to be verified, and no more may. Use a "
                "token, which takes no time.",
                retry_after=_RETRY_S,
            )

    def _begin(self, job: _Job) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(job,), name="kvorum-passwords", daemon=True
        )
        self._thread.start()

    def _run(self, job: _Job) -> None:
        result: object
        try:
            result = job.work()
        except KvorumError as error:
            result = error
        except Exception:
            _logger.exception("verifying a password failed")
            result = KvorumError("The password could not be verified; the node's log says why.")
        if not self._closing:
            self._hand_over(self._done, job, result)

    def _done(self, job: _Job, result: object) -> None:
        self._thread = None
        while self._waiting and self._thread is None:
            following = self._waiting.popleft()
            objection = following.objection()
            if objection is None:
                self._begin(following)
            else:
                following.reply(objection)
        if not self._closing:
            job.reply(result)
