from typing import Any

from typing_extensions import Buffer

from kstore._native.codec import Plan

def decode(plan: Plan, data: Buffer, position: int = 0) -> Any:
    """The message that fills `data` from `position` to its end; DecodeError."""

def decode_prefix(plan: Plan, data: Buffer, position: int = 0) -> tuple[Any, int]:
    """The message that starts at `position`, and the position behind it; DecodeError."""

def decode_response_header(data: Buffer, position: int, flexible: bool) -> tuple[int, int]:
    """(correlation id, end position); `flexible` headers end in tagged fields. DecodeError."""
