"""The codec's own rules, on a struct with every kind of field; kio judges the real messages."""

from __future__ import annotations

import gc
import math
import random
import sys
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kstore._native import codec as native
from kstore._native import decoder, encoder
from kstore._native.codec import KINDS, Plan
from kstore.wire import codec
from kstore.wire.messages.api_versions import ApiVersionsRequest
from kstore.wire.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    PartitionData,
    ReplicaState,
)
from kstore.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from kstore.wire.schema import (
    Field,
    Message,
    Request,
    Struct,
    StructType,
    array,
    binary,
    boolean,
    float64,
    int8,
    int16,
    int32,
    int64,
    string,
    struct,
    uint16,
    uint32,
    uuid,
)
from tests.support.messages import random_message


class Part(Struct):
    number: int = int32("0+")


class Everything(Message, versions="0-1", flexible="1+"):
    small: int = int8("0+")
    short: int = int16("0+")
    port: int = uint16("0+")
    number: int = int32("0+")
    unsigned: int = uint32("0+")
    large: int = int64("0+")
    ratio: float = float64("0+")
    flag: bool = boolean("0+")
    id: UUID = uuid("0+")
    text: str = string("0+")
    maybe_text: str | None = string("0+", nullable="0+")
    data: bytes = binary("0+")
    maybe_data: bytes | None = binary("0+", nullable="0+")
    part: Part = struct(Part, "0+")
    maybe_part: Part | None = struct(Part, "0+", nullable="0+", default=None)
    texts: list[str] = array(string, "0+")
    parts: list[Part] | None = array(Part, "0+", nullable="0+")
    tagged: list[int] = array(int16, "1+", tag=3, ignorable=True)
    tagged_text: str | None = string("1+", nullable="1+", tag=1, default=None)


def everything() -> Everything:
    return Everything(
        small=-2,
        short=-3,
        port=65535,
        number=-4,
        unsigned=0xFFFFFFFE,
        large=-5,
        ratio=0.5,
        flag=True,
        id=UUID(int=0x0102),
        text="é",
        maybe_text=None,
        data=b"ab",
        maybe_data=None,
        part=Part(number=6),
        maybe_part=Part(number=7),
        texts=["x", ""],
        parts=None,
    )


FIXED = (
    "fe fffd ffff fffffffc fffffffe fffffffffffffffb 3fe0000000000000 01"
    "00000000000000000000000000000102"
)


def test_old_form() -> None:
    data = bytes.fromhex(
        FIXED + "0002c3a9 ffff 00000002 6162 ffffffff 00000006 01 00000007"
        "00000002 0001 78 0000 ffffffff"
    )
    assert codec.encode(everything(), 0) == data
    assert codec.decode(Everything, 0, data) == everything()


def test_flexible_form() -> None:
    message = everything()
    message.tagged = [8, 9]
    message.tagged_text = "q"
    data = bytes.fromhex(
        FIXED + "03c3a9 00 03 6162 00 00000006 00 01 00000007 00 03 02 78 01 00"
        "02 01 02 0271 03 05 03 0008 0009"
    )
    assert codec.encode(message, 1) == data
    assert codec.decode(Everything, 1, data) == message


def test_default_tagged_fields_are_not_written() -> None:
    assert codec.encode(everything(), 1).endswith(bytes.fromhex("03 02 78 01 00 00"))
    null = everything()
    null.tagged_text = ""
    assert codec.decode(Everything, 1, codec.encode(null, 1)) == null


def test_any_buffer_at_any_position() -> None:
    data = codec.encode(everything(), 1)
    for buffer in (data, bytearray(data), memoryview(data)):
        assert codec.decode(Everything, 1, buffer) == everything()
    assert codec.decode(Everything, 1, b"xyz" + data, 3) == everything()
    assert codec.decode_prefix(Everything, 1, data + b"xyz") == (everything(), len(data))
    with pytest.raises(codec.DecodeError, match="starts 1 bytes behind the end"):
        codec.decode(Everything, 1, data, len(data) + 1)
    with pytest.raises(ValueError, match="-1"):
        codec.decode(Everything, 1, data, -1)


def test_decoded_bytes_are_copies() -> None:
    buffer = bytearray(codec.encode(everything(), 0))
    message = codec.decode(Everything, 0, buffer)
    buffer[:] = bytes(len(buffer))
    buffer.clear()  # no view of it is left
    assert message == everything()


def test_a_field_that_the_version_lacks_reads_as_its_default() -> None:
    response = MetadataResponse(
        topics=[MetadataResponseTopic(partitions=[MetadataResponsePartition(leader_epoch=7)])]
    )
    read = codec.decode(MetadataResponse, 6, codec.encode(response, 6))
    assert read.topics[0].partitions[0].leader_epoch == -1
    assert read.cluster_id is None
    request = codec.decode(FetchRequest, 4, codec.encode(FetchRequest(max_wait_ms=3), 4))
    assert request == FetchRequest(max_wait_ms=3)
    assert request.replica_state == ReplicaState(replica_id=-1, replica_epoch=-1)


def test_what_a_version_cannot_carry_is_refused_unless_ignorable() -> None:
    with pytest.raises(codec.EncodeError, match="allow_auto_topic_creation: False, in a version"):
        codec.encode(MetadataRequest(allow_auto_topic_creation=False), 3)
    codec.encode(MetadataRequest(allow_auto_topic_creation=True), 3)
    with pytest.raises(codec.EncodeError, match="replica_state"):
        codec.encode(FetchRequest(replica_state=ReplicaState(replica_id=1)), 14)
    codec.encode(MetadataResponse(error_code=5, throttle_time_ms=9), 0)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("small", 128, "small: 128 does not fit into 8 bits"),
        ("short", -32769, "short: -32769 does not fit into 16 bits"),
        ("port", -1, "port: -1 does not fit into 16 bits"),
        ("port", 65536, "port: 65536 does not fit"),
        ("number", 1 << 31, "number: 2147483648 does not fit into 32 bits"),
        ("unsigned", 1 << 32, "unsigned: 4294967296 does not fit"),
        ("large", 1 << 63, "large: 9223372036854775808 does not fit into 64 bits"),
        ("number", "1", "number: an integer is wanted, not '1'"),
        ("number", 1.0, "number: an integer is wanted"),
        ("number", None, "number: None, which this version does not allow"),
        ("ratio", "1", "ratio: a number is wanted"),
        ("flag", 1, "flag: True or False is wanted, not 1"),
        ("id", "1", "id: a UUID is wanted"),
        ("text", b"t", "text: a string is wanted"),
        ("text", None, "text: None, which"),
        ("text", "x" * 32768, "text: a string of 32768 bytes"),
        ("text", "\ud800", "text: a string that has no UTF-8 form"),
        ("data", "t", "data: bytes are wanted, not str"),
        ("part", None, "part: None, which"),
        ("part", Everything(), "part: Part is wanted"),
        ("part", Part(number=None), r"part\.number: None, which"),  # type: ignore[arg-type]
        ("texts", "ab", "texts: a list is wanted"),
        ("texts", ["a", None], r"texts\[1\]: a string is wanted"),
        ("parts", [Part(), Part(number=-(1 << 31) - 1)], r"parts\[1\]\.number: -2147483649"),
        ("tagged", [1, 1 << 20], r"tagged\[1\]: 1048576 does not fit"),
    ],
)
def test_unfit_values_name_their_field(field: str, value: Any, reason: str) -> None:
    message = everything()
    setattr(message, field, value)
    with pytest.raises(codec.EncodeError, match=f"^{reason}"):
        codec.encode(message, 1)


def test_a_deleted_field_is_refused() -> None:
    message = everything()
    del message.text
    with pytest.raises(codec.EncodeError, match="text: the field was deleted"):
        codec.encode(message, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", r"^topics: 4 bytes wanted, 0 left \(at byte 0\)$"),
        ("fffffffe", "topics: a length of -2"),
        ("7fffffff 0000", "topics: 2147483647 elements in 2 bytes"),
        ("00000001 ffff", r"topics\[0\]\.name: null, which this version does not allow"),
        ("00000001 0003 6161", r"topics\[0\]\.name: 3 bytes wanted, 2 left \(at byte 6\)"),
        ("00000001 0002 c328", r"topics\[0\]\.name: a string that is not UTF-8"),
        ("00000000 00", r"1 bytes too many \(at byte 4\)"),
    ],
)
def test_malformed_input_names_field_and_position(data: str, reason: str) -> None:
    with pytest.raises(codec.DecodeError, match=reason):
        codec.decode(MetadataRequest, 0, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("ffffffffff01", "client_software_name: a varint of more than 5 bytes"),
        ("ffffffff1f", "client_software_name: a string of 4294967294 bytes"),  # 32 bits, as Kafka
        ("00", "client_software_name: null, which"),
        ("818002" + "61" * 32768, "client_software_name: a string of 32768 bytes"),
        ("01 01 01 05 09 61", "9 bytes wanted, 1 left"),
        ("01 01 05", "1 bytes wanted, 0 left"),
    ],
)
def test_malformed_flexible_input(data: str, reason: str) -> None:
    with pytest.raises(codec.DecodeError, match=reason):
        codec.decode(ApiVersionsRequest, 3, bytes.fromhex(data))


def test_only_plans_are_followed() -> None:
    for call in (decoder.decode, decoder.decode_prefix, encoder.encode):
        with pytest.raises(TypeError):
            call(None, b"")  # type: ignore[operator]


def test_a_struct_without_a_layout_is_not_compared() -> None:
    class Bare(native.Struct):
        LAYOUT = "none"  # type: ignore[assignment]

    with pytest.raises(TypeError):
        assert Bare.__new__(Bare) == Bare.__new__(Bare)
    with pytest.raises(TypeError):
        repr(Bare.__new__(Bare))


def test_a_known_tagged_field_must_have_the_size_it_claims() -> None:
    good = codec.encode(FetchRequest(replica_state=ReplicaState(replica_id=1)), 15)
    assert good.endswith(bytes.fromhex("01 01 0d 00000001 ffffffffffffffff 00"))
    longer = good[:-14] + bytes.fromhex("0e 00000001 ffffffffffffffff 00 00")
    with pytest.raises(codec.DecodeError, match="replica_state: 1 bytes too many in a tagged"):
        codec.decode(FetchRequest, 15, longer)
    shorter = good[:-14] + bytes.fromhex("0c 00000001 ffffffffffffffff 00 00")
    with pytest.raises(codec.DecodeError, match="replica_state: 1 bytes wanted, 0 left"):
        codec.decode(FetchRequest, 15, shorter)


def test_unknown_apis_and_versions() -> None:
    with pytest.raises(codec.DecodeError, match="no API has the key 999"):
        codec.decode_request(999, 0, b"")
    with pytest.raises(codec.DecodeError, match="ProduceRequest has no version 2"):
        codec.decode_request(0, 2, b"")
    with pytest.raises(codec.DecodeError, match="MetadataResponse has no version -1"):
        codec.decode_response(3, -1, b"")
    with pytest.raises(codec.EncodeError, match="MetadataRequest has no version 14"):
        codec.encode_request(MetadataRequest(), 14)


def test_null_is_not_empty() -> None:
    """A null list of topics asks for all, an empty one for none."""
    for version in (1, 9, 13):
        for request in (MetadataRequest(topics=None), MetadataRequest(topics=[])):
            data = codec.encode_request(request, version)
            assert codec.decode_request(3, version, data) == request
    with pytest.raises(codec.EncodeError, match="topics: None"):
        codec.encode_request(MetadataRequest(topics=None), 0)


def test_tuples_serve_as_lists() -> None:
    part = MetadataResponsePartition(replica_nodes=(1, 2))  # type: ignore[arg-type]
    data = codec.encode(MetadataResponse(topics=[MetadataResponseTopic(partitions=[part])]), 12)
    assert codec.decode(MetadataResponse, 12, data).topics[0].partitions[0].replica_nodes == [1, 2]


def test_a_large_message_outgrows_every_buffer() -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="t" * 999) for _ in range(999)])
    for version in (0, 9):
        data = codec.encode_request(request, version)
        assert codec.decode_request(3, version, data) == request


def test_a_large_tagged_field_has_a_long_size() -> None:
    leader = LeaderIdAndEpoch(leader_id=1)
    partition = PartitionData(current_leader=leader, records=b"r" * 70_000)
    response = FetchResponse(responses=[FetchableTopicResponse(partitions=[partition])])
    assert codec.decode(FetchResponse, 16, codec.encode(response, 16)) == response
    message = Everything(tagged=list(range(10_000)), tagged_text="t")
    assert codec.decode(Everything, 1, codec.encode(message, 1)) == message


def with_mystery(struct_type: type[Struct]) -> Any:
    """The same struct as a newer schema may have it: with one more tagged field, at each level."""
    namespace: dict[str, Any] = {}
    for name, field in struct_type.FIELDS.items():
        element = field.element
        default = field.default
        if isinstance(element, type):
            element = with_mystery(element)
            default = element if default is field.element else default
        namespace[name] = Field(
            field.kind,
            element,
            field.versions,
            field.nullable,
            default,
            field.tag,
            field.ignorable,
        )
    namespace["mystery"] = binary("0+", tag=30_000)
    options = {}
    bases: tuple[type, ...] = (Struct,)
    if issubclass(struct_type, Message):
        bases = (Request,)
        versions = f"{struct_type.VERSIONS.min}-{struct_type.VERSIONS.max}"
        options = {"versions": versions, "flexible": f"{struct_type.FLEXIBLE.min}+"}
    return StructType(struct_type.__name__, bases, namespace, **options)


def into(newer_type: Any, message: Struct) -> Any:
    """The message as the newer type, with the mystery filled in everywhere."""
    values: dict[str, Any] = {"mystery": b"from the future"}
    for name, field in type(message).FIELDS.items():
        value = getattr(message, name)
        element = newer_type.FIELDS[name].element
        if isinstance(value, Struct):
            # A struct at its default is not written at all, if it is tagged.
            tagged = field.tag >= 0 and value == type(value)()
            value = element() if tagged else into(element, value)
        elif isinstance(value, list) and isinstance(element, type):
            value = [into(element, one) for one in value]
        values[name] = value
    return newer_type(**values)


@pytest.mark.parametrize(
    ("message_type", "version"),
    [(FetchRequest, 15), (FetchResponse, 18), (MetadataRequest, 12), (MetadataResponse, 9)],
)
def test_unknown_tagged_fields_are_skipped_at_every_level(
    message_type: type[Message], version: int
) -> None:
    newer_type = with_mystery(message_type)
    choices = random.Random(version)
    for _ in range(20):
        message = random_message(message_type, version, choices)
        newer = into(newer_type, message)
        data = codec.encode(newer, version)
        assert data.count(b"from the future") >= 1
        assert codec.decode(newer_type, version, data) == newer
        assert codec.decode(message_type, version, data) == message


def test_nothing_leaks() -> None:
    """References are counted by hand where slots are filled: what is freed must be freed whole."""
    whole = everything()
    whole.tagged_text = "q"
    whole.tagged = [7]
    data = codec.encode(whole, 1)
    unfit = Everything(part=Part(number=1 << 40))

    def work() -> None:
        for _ in range(200):
            codec.encode(codec.decode(Everything, 1, data), 1)
            with pytest.raises(codec.DecodeError):
                codec.decode(Everything, 1, data[:-1])
            with pytest.raises(codec.DecodeError):
                codec.decode(Everything, 1, data[:40])
            with pytest.raises(codec.EncodeError):
                codec.encode(unfit, 1)
            with pytest.raises(TypeError):
                Everything(text="x" * 50, unknown=[1])  # type: ignore[call-arg]

    work()
    gc.collect()
    before = sys.getallocatedblocks()
    work()
    gc.collect()
    assert sys.getallocatedblocks() - before < 100


class Whole(Struct):
    parts: list[Part] = array(Part, "0+")


@pytest.mark.parametrize("changed", ["plain", "child"])
def test_a_plan_must_be_whole(changed: str) -> None:
    """Native code trusts its plans, so what makes them is checked."""
    step = ("parts", KINDS["array"], KINDS["struct"], False, False, 0, None)
    with pytest.raises(ValueError, match=r"misses fields|of Whole.parts is missing"):
        Plan(Whole.LAYOUT, False, [step] if changed == "child" else [], [], [])


@given(st.binary(max_size=200), st.sampled_from([0, 1]))
def test_any_bytes_end_in_a_value_or_in_the_one_error(data: bytes, version: int) -> None:
    try:
        message, end = codec.decode_prefix(Everything, version, data)
    except codec.DecodeError:
        return
    assert end <= len(data)
    if not math.isnan(message.ratio):
        again = codec.decode(Everything, version, codec.encode(message, version))
        assert again == message
