"""What a file of `broker/apis/` gives to the dispatcher.

An `Api` is for every request that is a message: decoded before its handler, encoded after it.
A `FrameApi` is for the two hot requests, Produce and Fetch, whose handlers read the frame itself
and answer with the parts of a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from kstore.broker.context import RequestContext
from kstore.log.slices import Slice
from kstore.runtime import Later
from kstore.wire.versions import ApiKey

__all__ = ["Api", "CloseConnection", "FrameApi", "InEffect", "Part", "Reply"]

Part: TypeAlias = bytes | Slice
Reply: TypeAlias = list[Part]
"""A whole frame in parts; empty where no reply is due (acks=0)."""


class CloseConnection(Exception):
    """The only answer left is to close the connection; the text says why, for the log."""


T = TypeVar("T")


class InEffect(Later[T]):
    """The answer to a request that has taken effect and only waits to be told.

    The next request of the connection may start, also where others of its API hold that up.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Api:
    """A request that is decoded and answered as a message."""

    key: ApiKey
    handle: Callable[[Any, RequestContext], Any]
    """`handle(request, context)` gives the response, or a `Later` of it."""
    overlaps: bool = False
    """Whether the next request of the connection may start before this one is answered: true
    where the effect is queued in order (a coordinator's group), false where a later request would
    have to see it (a created topic)."""


@dataclass(frozen=True, slots=True)
class FrameApi:
    """A request that is read from its frame and answered with parts."""

    key: ApiKey
    handle: Callable[[memoryview, int, RequestContext], Reply | Later[Reply]]
    """`handle(frame, position of the body, context)`."""
    overlaps: bool = False
    """As that of `Api`."""
