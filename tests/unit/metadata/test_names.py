"""Names of topics, in Kafka's words."""

from __future__ import annotations

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.names import check_topic_name, is_internal, may_collide, unified_name


@pytest.mark.parametrize(
    "name", ["a", "A-Z_0.9", "...", "-", "_", "a" * 249, "__consumer_offsets", "..a"]
)
def test_good_names(name):
    check_topic_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("a" * 250, f"the length of '{'a' * 250}' is longer than the max allowed length 249"),
    ],
)
def test_bad_names(name, reason):
    with pytest.raises(KafkaError) as caught:
        check_topic_name(name)
    assert caught.value.code is ErrorCode.INVALID_TOPIC_EXCEPTION
    assert caught.value.message == f"Topic name is invalid: {reason}"


@pytest.mark.parametrize("name", ["a b", "a/b", "a\\b", "a\n", "\n", "é", "٣", "a:b", "a\0"])
def test_bad_characters(name):
    with pytest.raises(KafkaError) as caught:
        check_topic_name(name)
    assert caught.value.message == (
        f"Topic name is invalid: '{name}' contains one or more characters other than "
        "ASCII alphanumerics, '.', '_' and '-'"
    )


def test_collisions():
    assert unified_name("a.b_c") == unified_name("a_b.c") != unified_name("a.bc")
    assert may_collide("a.b")
    assert may_collide("a_b")
    assert not may_collide("a-b")


def test_internal_topics():
    assert is_internal("__consumer_offsets")
    assert is_internal("__transaction_state")
    assert not is_internal("__consumer_offset")
