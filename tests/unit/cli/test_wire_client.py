"""The blocking client, against sockets that answer well, badly and not at all."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kstore.cli.broker_api_versions import api_text
from kstore.cli.errors import CallError, CommandError
from kstore.cli.features import feature_rows
from kstore.cli.wire_client import WireClient
from kstore.errors import ErrorCode
from kstore.wire.codec import decode_request, encode_response
from kstore.wire.headers import decode_request_header, response_frame
from kstore.wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from kstore.wire.messages.describe_log_dirs import DescribeLogDirsRequest, DescribeLogDirsResponse
from kstore.wire.versions import ApiKey

DEADLINE_S = 10

# What a broker sends for one request: its API, version and correlation id.
Answer = Callable[[int, int, int], bytes]

VERSIONS = ApiVersionsResponse(
    api_keys=[ApiVersion(api_key=ApiKey.DESCRIBE_LOG_DIRS, min_version=1, max_version=2)]
)


@contextmanager
def broker(answer: Answer) -> Iterator[str]:
    """A broker for one connection; it closes that once `answer` gives nothing."""

    def serve() -> None:
        connection, _ = listener.accept()
        # A client that hears nonsense closes without reading all of it.
        with connection, connection.makefile("rb") as requests, suppress(ConnectionError):
            while size := requests.read(4):
                data = requests.read(struct.unpack(">i", size)[0])
                header, position = decode_request_header(data)
                decode_request(header.api_key, header.api_version, data, position)
                reply = answer(header.api_key, header.api_version, header.correlation_id)
                if not reply:
                    return
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def served(key: int, version: int, correlation_id: int) -> bytes:
    """The answers of a broker that serves DescribeLogDirs up to version 2."""
    if key == ApiKey.API_VERSIONS:
        return response_frame(key, version, correlation_id, encode_response(VERSIONS, version))
    assert version == 2
    body = encode_response(DescribeLogDirsResponse(), version)
    return response_frame(key, version, correlation_id, body)


def connect(servers: str, **settings: str) -> WireClient:
    return WireClient.connect(servers, settings, timeout_s=DEADLINE_S)


def test_the_newest_version_that_both_know_is_asked() -> None:
    with broker(served) as address, connect(address) as client:
        answer = client.ask(DescribeLogDirsRequest(topics=None), DescribeLogDirsResponse)
        assert answer == DescribeLogDirsResponse()


def test_an_api_that_is_not_served_is_one_line() -> None:
    def nothing(key: int, version: int, correlation_id: int) -> bytes:
        body = encode_response(ApiVersionsResponse(), version)
        return response_frame(key, version, correlation_id, body)

    request = DescribeLogDirsRequest(topics=None)
    refused = pytest.raises(CommandError, match="does not serve DescribeLogDirs")
    with broker(nothing) as address, connect(address) as client, refused:
        client.ask(request, DescribeLogDirsResponse)


def test_an_older_broker_is_asked_in_an_older_version() -> None:
    asked = []

    def older(key: int, version: int, correlation_id: int) -> bytes:
        asked.append(version)
        if version > 3:
            refusal = ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
            return response_frame(key, 0, correlation_id, encode_response(refusal, 0))
        return served(key, version, correlation_id)

    with broker(older) as address, connect(address) as client:
        assert client.versions == VERSIONS
    assert asked == [4, 3]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak Kafka's protocol"),
        (b"\0\0\0\6\0\0\0\1\0\0", "answered what can't be read"),
        (response_frame(18, 4, 9, encode_response(VERSIONS, 4)), "answered another question"),
    ],
)
def test_what_is_no_answer_is_one_line(reply: bytes, error: str) -> None:
    with broker(lambda *_: reply) as address, pytest.raises(CommandError, match=error):
        connect(address)


def test_a_broker_that_is_not_there_and_a_wrong_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CommandError, match=f"no broker answers at 127.0.0.1:{port}: "):
        connect(f"127.0.0.1:{port}")
    for servers in ("127.0.0.1", "127.0.0.1:many", "127.0.0.1:70000"):
        with pytest.raises(CallError, match="want HOST:PORT"):
            connect(servers)
    with pytest.raises(CallError, match="speaks PLAINTEXT only"):
        connect("127.0.0.1:1", **{"security.protocol": "SASL_SSL"})


def test_apis_as_kafkas_tool_writes_them() -> None:
    def text(key: int, oldest: int, newest: int) -> str:
        return api_text(ApiVersion(api_key=key, min_version=oldest, max_version=newest))

    assert text(1, 4, 18) == "Fetch(1): 4 to 18 [usable: 18]"
    assert text(1, 4, 99) == "Fetch(1): 4 to 99 [usable: 18]"
    assert text(47, 0, 0) == "OffsetDelete(47): 0 [usable: 0]"
    assert text(1, 50, 60) == "Fetch(1): 50 to 60 [unusable: node too new]"
    assert text(1, 0, 3) == "Fetch(1): 0 to 3 [unusable: node too old]"
    assert text(999, 0, 1) == "UNKNOWN(999): 0 to 1"


def test_levels_of_features() -> None:
    versions = ApiVersionsResponse(
        supported_features=[
            SupportedFeatureKey(name="metadata.version", min_version=7, max_version=99),
            SupportedFeatureKey(name="group.version", min_version=0, max_version=1),
        ],
        finalized_features=[FinalizedFeatureKey(name="metadata.version", max_version_level=30)],
    )
    group, metadata = feature_rows(versions)
    assert (group["feature"], group["finalized"], group["epoch"]) == ("group.version", "0", None)
    levels = [metadata[name] for name in ("min_version", "max_version", "finalized")]
    assert levels == ["3.3-IV3", "UNKNOWN 99", "4.3-IV0"]
