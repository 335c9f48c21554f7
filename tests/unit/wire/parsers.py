"""The parsers of the room `wire`: every message in every version, and the headers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import partial

from kstore.wire import codec, headers
from kstore.wire.messages import MODULES
from kstore.wire.messages.consumer_protocol_assignment import ConsumerProtocolAssignment
from kstore.wire.messages.consumer_protocol_subscription import ConsumerProtocolSubscription
from kstore.wire.schema import Message
from tests.support.messages import random_message
from tests.support.parsers import Parser, register


def _register_message(message_type: type[Message], version: int) -> None:
    name = f"{message_type.__name__} v{version}"

    def samples() -> Iterable[bytes]:
        yield codec.encode(random_message(message_type, version, random.Random(name)), version)

    def parse(data: bytes) -> object:
        return codec.decode(message_type, version, data)

    register(Parser(name, parse, samples, codec.DecodeError))


def _request_header_samples(version: int) -> Iterable[bytes]:
    for client_id in (None, "", "größe"):
        yield headers.encode_request_header(headers.RequestHeader(3, version, 77, client_id))


def _response_header_samples(version: int) -> Iterable[bytes]:
    yield headers.response_header(3, version, -2)


for _api_key in MODULES:
    for _message_type in (codec.request_type(_api_key), codec.response_type(_api_key)):
        for _version in _message_type.VERSIONS:
            _register_message(_message_type, _version)
for _version in ConsumerProtocolSubscription.VERSIONS:
    _register_message(ConsumerProtocolSubscription, _version)
    _register_message(ConsumerProtocolAssignment, _version)

# What stands behind a header is the body.
for _version in (8, 9):
    register(
        Parser(
            f"request header of Metadata v{_version}",
            headers.decode_request_header,
            partial(_request_header_samples, _version),
            codec.DecodeError,
            junk_is_error=False,
        )
    )
    register(
        Parser(
            f"response header of Metadata v{_version}",
            partial(headers.decode_response_header, 3, _version),
            partial(_response_header_samples, _version),
            codec.DecodeError,
            junk_is_error=False,
        )
    )
