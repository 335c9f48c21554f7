"""The table of what is advertised, against the generated schemas."""

from __future__ import annotations

import pytest

from kstore.wire import codec
from kstore.wire.messages import MODULES
from kstore.wire.versions import ADVERTISED, ApiKey, ApiRange, flexible_from


@pytest.mark.parametrize("api_key", ApiKey, ids=lambda key: key.name)
def test_every_api_has_a_schema(api_key: ApiKey) -> None:
    index = MODULES[api_key]
    snake = "".join(f"_{letter}" if letter.isupper() else letter for letter in index.name).upper()
    assert api_key.name == snake.lstrip("_")
    request, response = codec.request_type(api_key), codec.response_type(api_key)
    assert request.API_KEY == response.API_KEY == api_key
    assert request.__name__ == f"{index.name}Request"
    assert request.FLEXIBLE == response.FLEXIBLE
    first = next(iter(request.FLEXIBLE), 0x7FFF)  # none: no version is flexible
    assert first == flexible_from(api_key)


def test_every_schema_has_an_api() -> None:
    assert set(MODULES) == set(ApiKey)


def test_the_schemas_cover_what_is_advertised() -> None:
    for api_key, advertised in ADVERTISED.items():
        for known in (codec.request_type(api_key).VERSIONS, codec.response_type(api_key).VERSIONS):
            assert advertised.max in known
            assert advertised.min in known or api_key is ApiKey.PRODUCE


def test_what_kafka_4_3_advertises_beyond_its_schemas() -> None:
    assert ADVERTISED[ApiKey.PRODUCE] == ApiRange(0, 13)
    assert ApiRange(3, 13) == codec.request_type(ApiKey.PRODUCE).VERSIONS
    assert ADVERTISED[ApiKey.INIT_PRODUCER_ID] == ApiRange(0, 5)
    assert ApiRange(0, 6) == codec.request_type(ApiKey.INIT_PRODUCER_ID).VERSIONS


def test_flexible_from_an_unknown_api() -> None:
    with pytest.raises(KeyError):
        flexible_from(999)
