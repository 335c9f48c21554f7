"""kafka-python, the second judge of our messages: it reads ours and writes the same bytes."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest

from kstore.wire import codec
from kstore.wire.messages import MODULES
from kstore.wire.schema import Message
from kstore.wire.versions import ADVERTISED
from tests.support.messages import random_message

ROOMS = [
    importlib.import_module(f"kafka.protocol.{name}")
    for name in ("producer", "consumer", "metadata", "admin")
]
SAMPLES = 10


def their_type(name: str) -> Any:
    return next(getattr(room, name) for room in ROOMS if hasattr(room, name))


@pytest.mark.parametrize("api_key", ADVERTISED, ids=lambda api_key: api_key.name)
@pytest.mark.parametrize("direction", ["Request", "Response"])
def test_kafka_python_reads_and_writes_the_same(api_key: int, direction: str) -> None:
    find: Any = {"Request": codec.request_type, "Response": codec.response_type}[direction]
    message_type: type[Message] = find(api_key)
    theirs = their_type(MODULES[api_key].name + direction)
    versions = [v for v in ADVERTISED[api_key] if v in message_type.VERSIONS]  # type: ignore[index]
    for version in versions:
        choices = random.Random(f"{api_key} {direction} {version}")
        for _ in range(SAMPLES):
            message = random_message(message_type, version, choices)
            if message_type.__name__ == "ApiVersionsResponse":
                message.error_code = 0  # type: ignore[attr-defined]  # else it reads version 0
            data = codec.encode(message, version)
            read = theirs.decode(data, version=version)
            read._header = None  # which it needs to write a message that it has read
            assert read.encode(version=version) == data
