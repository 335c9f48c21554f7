"""Errors as producers of different age know them."""

from __future__ import annotations

from kstore.errors import ErrorCode

__all__ = ["fenced_as_of"]


def fenced_as_of(error: ErrorCode, api_version: int, *, knows_from: int) -> ErrorCode:
    """`error` for a client that may be too old to know PRODUCER_FENCED."""
    if error is ErrorCode.PRODUCER_FENCED and api_version < knows_from:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return error
