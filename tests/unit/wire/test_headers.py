"""Headers; that they are kio's byte for byte is tested with the messages."""

from __future__ import annotations

import pytest

from kstore.wire.codec import DecodeError
from kstore.wire.headers import (
    RequestHeader,
    decode_request_header,
    decode_response_header,
    encode_request_header,
    response_header,
)
from kstore.wire.versions import ApiKey


def test_the_client_id_has_the_old_length_in_both_forms() -> None:
    old = RequestHeader(ApiKey.JOIN_GROUP, 5, 7, "me")
    new = RequestHeader(ApiKey.JOIN_GROUP, 6, 7, "me")
    assert encode_request_header(old) == bytes.fromhex("000b 0005 00000007 0002 6d65")
    assert encode_request_header(new) == bytes.fromhex("000b 0006 00000007 0002 6d65 00")


def test_no_client_id_is_not_an_empty_one() -> None:
    for client_id in (None, ""):
        header = RequestHeader(ApiKey.METADATA, 9, -1, client_id)
        data = encode_request_header(header)
        assert decode_request_header(data) == (header, len(data))


def test_tagged_fields_of_the_header_are_skipped() -> None:
    data = bytes.fromhex("0003 0009 00000007 ffff 02 05 02 aaaa 90bf05 00") + b"body"
    assert decode_request_header(data) == (RequestHeader(3, 9, 7, None), len(data) - 4)
    assert decode_response_header(3, 9, bytes.fromhex("00000007 01 05 02 aaaa")) == (7, 9)


def test_the_header_of_an_unknown_api_is_read_in_its_old_form() -> None:
    data = bytes.fromhex("03e7 0001 00000007 ffff")
    assert decode_request_header(data) == (RequestHeader(999, 1, 7, None), len(data))


def test_the_header_of_an_unknown_version_is_read() -> None:
    """So that ApiVersions from a client of the future can be answered with version 0."""
    data = bytes.fromhex("0012 0063 00000007 0001 63 00") + b"who knows"
    assert decode_request_header(data) == (RequestHeader(18, 99, 7, "c"), 12)
    data = bytes.fromhex("0012 7fff 00000007 0001 63 00")
    assert decode_request_header(data) == (RequestHeader(18, 32767, 7, "c"), 12)
    data = bytes.fromhex("0012 ffff 00000007 0001 63 00")
    assert decode_request_header(data) == (RequestHeader(18, -1, 7, "c"), 11)


@pytest.mark.parametrize(
    "data",
    ["0003", "0003 0009 00000007 fffe", "0003 0009 00000007 0002 61", "0003 0009 00000007 ffff"],
)
def test_malformed(data: str) -> None:
    with pytest.raises(DecodeError):
        decode_request_header(bytes.fromhex(data))


def test_the_answer_to_api_versions_never_has_tagged_fields_in_its_header() -> None:
    assert response_header(ApiKey.API_VERSIONS, 3, 7) == bytes.fromhex("00000007")
    assert response_header(ApiKey.METADATA, 8, 7) == bytes.fromhex("00000007")
    assert response_header(ApiKey.METADATA, 9, 7) == bytes.fromhex("00000007 00")
