"""What a listener refuses, whatever the protocol."""

from __future__ import annotations

from kvorum.model.errors import NodeStopping, Overloaded, RequestError


class RequestTooSlow(RequestError):
    """A request has begun and does not end."""

    code = "request_too_slow"


def too_slow(seconds: float) -> RequestTooSlow:
    """The refusal of a request that has not ended in so many seconds."""
    return RequestTooSlow(f"The request was not complete {seconds:g} s after its first byte.")


def stopping() -> NodeStopping:
    """The farewell to a client that has asked for nothing, or whose request was not read any more:
    it may be repeated."""
    return NodeStopping(
        "This node stops, and nothing was done. Ask another node, or this one in a moment.",
        retry_after=1,
    )


def no_connection_left(most: int) -> Overloaded:
    """The refusal of a connection where `most` are busy."""
    return Overloaded(
        f"All {most} connections that this node can have are busy with requests. Try again in a "
        "moment, or ask another node.",
        retry_after=1,
    )


def too_many_large_requests(bytes_max: int) -> Overloaded:
    """The refusal of a large request where others hold the `bytes_max` that they may."""
    return Overloaded(
        "The large requests under way take all the room that there is for them, "
        f"{bytes_max} bytes. Try again in a moment.",
        retry_after=1,
    )
