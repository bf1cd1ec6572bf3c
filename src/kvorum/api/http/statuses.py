"""The status that an error is answered with (RFC 9110, section 15; RFC 4918; RFC 6585)."""

from __future__ import annotations

from typing import Final

from kvorum.api.http import refusals
from kvorum.listener.refusals import RequestTooSlow
from kvorum.model import errors
from kvorum.model.errors import KvorumError
from kvorum.service.limits import ValueTooLarge
from kvorum.service.security_administration import OpenCluster

STATUSES: Final[dict[type[KvorumError], int]] = {
    errors.KvorumError: 500,
    # The request
    errors.RequestError: 400,
    errors.InvalidKey: 400,
    errors.InvalidValue: 400,
    ValueTooLarge: 413,
    errors.InvalidVersion: 400,
    OpenCluster: 409,
    errors.NamespaceNotFound: 404,
    errors.NotFound: 404,
    errors.PreconditionFailed: 412,
    errors.TooManySiblings: 409,
    errors.Unauthenticated: 401,
    errors.TooManyAttempts: 429,
    errors.AccessDenied: 403,
    # The cluster
    errors.UnavailableError: 503,
    errors.NodeStopping: 503,
    errors.QuorumError: 503,
    errors.TimeoutExpired: 504,
    errors.ClockWrong: 503,
    errors.Overloaded: 503,
    errors.TooManyRequests: 429,
    errors.ConnectionFailed: 503,
    errors.ProtocolError: 500,
    # The node
    errors.StorageError: 500,
    errors.CorruptRecord: 500,
    errors.UnknownWrite: 500,
    errors.DiskFull: 507,
    errors.ConfigError: 500,
    refusals.InternalError: 500,
    # HTTP
    refusals.MalformedHttp: 400,
    refusals.ForeignOrigin: 403,
    refusals.UnknownPath: 404,
    refusals.MethodNotAllowed: 405,
    RequestTooSlow: 408,
    refusals.ContentTooLarge: 413,
    refusals.AnswerTooLong: 413,
    refusals.UrlTooLong: 414,
    refusals.UnsupportedMediaType: 415,
    refusals.ExpectationFailed: 417,
    refusals.MisdirectedRequest: 421,
    refusals.HeadTooLarge: 431,
    refusals.NotImplementedHere: 501,
    refusals.UnsupportedHttpVersion: 505,
}


def status_of(error: KvorumError) -> int:
    """That of its class, or of the nearest above it; 500 for a code that is not known here."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
