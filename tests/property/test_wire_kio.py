"""Our messages against kio's, in every advertised version of every API.

Values that kio draws and writes are read by us as the same values and written by us as the same
bytes; the schemas agree on which fields a version has, on flexible versions and on headers.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from kstore.wire import codec
from kstore.wire.headers import (
    RequestHeader,
    decode_request_header,
    decode_response_header,
    encode_request_header,
    response_header,
)
from kstore.wire.schema import Struct, parse_versions
from kstore.wire.versions import ADVERTISED, ApiKey, flexible_from
from tests.support.kio_messages import (
    kio_decode,
    kio_encode,
    kio_fields,
    kio_type,
    our_field_name,
    random_entity,
    to_ours,
)

# Produce 0 to 2 are advertised only to be refused.
PAIRS = [
    (api_key, version)
    for api_key, versions in ADVERTISED.items()
    for version in versions
    if (api_key, version) not in {(ApiKey.PRODUCE, 0), (ApiKey.PRODUCE, 1), (ApiKey.PRODUCE, 2)}
]
SAMPLES = 8

UNKNOWN_FIELD = b"\xd7\x04\x05hello"
"""A tagged field as it travels: tag 599, which nobody has, its size, its bytes."""


def over(pairs: list[tuple[ApiKey, int]]) -> pytest.MarkDecorator:
    names = [f"{api_key.name}-{version}" for api_key, version in pairs]
    return pytest.mark.parametrize(("api_key", "version"), pairs, ids=names)


every_pair = over(PAIRS)
flexible_pairs = over([pair for pair in PAIRS if pair[1] >= flexible_from(pair[0])])
directions = pytest.mark.parametrize("direction", ["request", "response"])


def our_type(api_key: ApiKey, direction: str) -> Any:
    return {"request": codec.request_type, "response": codec.response_type}[direction](api_key)


def entities(api_key: ApiKey, version: int, direction: str) -> list[Any]:
    choices = random.Random(f"{api_key} {version} {direction}")
    entity_type = kio_type(api_key, version, direction)
    return [random_entity(entity_type, choices) for _ in range(SAMPLES)]


@every_pair
@directions
def test_reads_what_kio_writes(api_key: ApiKey, version: int, direction: str) -> None:
    message_type = our_type(api_key, direction)
    for entity in entities(api_key, version, direction):
        message = codec.decode(message_type, version, kio_encode(entity))
        assert message == to_ours(message_type, entity)


@every_pair
@directions
def test_writes_what_kio_writes(api_key: ApiKey, version: int, direction: str) -> None:
    message_type = our_type(api_key, direction)
    for entity in entities(api_key, version, direction):
        data = codec.encode(to_ours(message_type, entity), version)
        assert data == kio_encode(entity)
        assert kio_decode(type(entity), data) == entity


@every_pair
@directions
def test_defaults(api_key: ApiKey, version: int, direction: str) -> None:
    """A message of defaults is one that kio reads, and it keeps none of our tagged fields."""
    message_type = our_type(api_key, direction)
    data = codec.encode(message_type(), version)
    entity = kio_decode(kio_type(api_key, version, direction), data)
    assert kio_encode(entity) == data


@flexible_pairs
@directions
def test_skips_an_unknown_tagged_field(api_key: ApiKey, version: int, direction: str) -> None:
    message_type = our_type(api_key, direction)
    tagged = [name for name, field in message_type.FIELDS.items() if field.tag >= 0]
    for entity in entities(api_key, version, direction):
        expected = to_ours(message_type, entity)
        for name in tagged:
            setattr(expected, name, getattr(message_type(), name))
        data = codec.encode(expected, version)
        assert data.endswith(b"\x00")
        data = data[:-1] + b"\x01" + UNKNOWN_FIELD
        assert codec.decode(message_type, version, data) == expected


@every_pair
@directions
def test_schemas_agree(api_key: ApiKey, version: int, direction: str) -> None:
    entity_type = kio_type(api_key, version, direction)
    assert entity_type.__api_key__ == api_key
    assert entity_type.__flexible__ == (version >= flexible_from(api_key))
    message_type = our_type(api_key, direction)
    assert api_key == message_type.API_KEY
    assert version in message_type.VERSIONS
    assert (version in message_type.FLEXIBLE) == entity_type.__flexible__
    fields_agree(message_type, entity_type, version)


def fields_agree(struct_type: type[Struct], entity_type: Any, version: int) -> None:
    ours = [
        name
        for name, field in struct_type.FIELDS.items()
        if version in parse_versions(field.versions)
    ]
    theirs = [our_field_name(struct_type, name) for name in kio_fields(entity_type)]
    assert ours == theirs


@every_pair
def test_headers(api_key: ApiKey, version: int) -> None:
    header = RequestHeader(api_key, version, -77, "größe")
    theirs = kio_type(api_key, version, "request").__header_schema__(
        request_api_key=api_key,
        request_api_version=version,
        correlation_id=-77,
        client_id="größe",
    )
    data = kio_encode(theirs)
    assert encode_request_header(header) == data
    assert decode_request_header(b"size" + data + b"body", 4) == (header, 4 + len(data))

    answer = kio_encode(kio_type(api_key, version, "response").__header_schema__(correlation_id=9))
    assert response_header(api_key, version, 9) == answer
    assert decode_response_header(api_key, version, answer + b"body") == (9, len(answer))
