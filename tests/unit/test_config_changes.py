"""What becomes of configs by a change, without a broker."""

from __future__ import annotations

import pytest

from kstore.configs import (
    ConfigOperation,
    ConfigOperationType,
    ConfigSource,
    change_broker_configs,
    change_topic_configs,
    describe_broker_configs,
    describe_cluster_defaults,
    load,
    replace_broker_configs,
)
from kstore.errors import ErrorCode, KafkaError

SET, DELETE, APPEND, SUBTRACT = ConfigOperationType


def test_a_change_leaves_the_old_configs_as_they_were():
    before = {"retention.ms": "5", "flush.ms": "7"}
    steps = [ConfigOperation("retention.ms", SET, "6"), ConfigOperation("flush.ms", DELETE)]
    assert change_topic_configs(before, steps) == {"retention.ms": "6"}
    assert before == {"retention.ms": "5", "flush.ms": "7"}


@pytest.mark.parametrize(
    ("operation", "value", "after"),
    [
        (APPEND, "compact,compact", "delete,compact"),
        (APPEND, "compact,", "delete,compact"),
        (SUBTRACT, "delete", ""),
        (SUBTRACT, "compact", "delete"),
    ],
)
def test_lists_begin_with_their_default(operation, value, after):
    steps = [ConfigOperation("cleanup.policy", operation, value)]
    assert change_topic_configs({}, steps) == {"cleanup.policy": after}


def test_values_have_a_largest_size():
    policy = "delete," * 5_000 + "delete"
    with pytest.raises(KafkaError) as caught:
        replace_broker_configs({"log.cleanup.policy": policy})
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_all_that_can_not_be_changed_is_named():
    steps = [ConfigOperation(name, SET, "1") for name in ("num.partitions", "a.b", "flush")]
    with pytest.raises(KafkaError, match=r"\[a\.b, flush, num\.partitions\]"):
        change_broker_configs({}, steps)


def test_a_broker_goes_before_all_brokers_and_those_before_the_file():
    name = "message.max.bytes"
    settings = load({name: "1"})
    live = settings.with_dynamic({name: "2"}, {name: "3", "log.dir": "x", "log.roll.ms": "bad"})
    assert (settings[name], live[name]) == (1, 3)
    assert (live["log.dir"], live["log.roll.ms"]) == (settings["log.dir"], None)
    (entry,) = (one for one in describe_broker_configs(live) if one.name == name)
    assert [(one.value, one.source) for one in entry.synonyms] == [
        ("3", ConfigSource.DYNAMIC_BROKER),
        ("2", ConfigSource.DYNAMIC_DEFAULT_BROKER),
        ("1", ConfigSource.STATIC_BROKER),
        ("1048588", ConfigSource.DEFAULT),
    ]
    assert [(one.name, one.value) for one in describe_cluster_defaults(live)] == [(name, "2")]
    assert live.with_dynamic({}, {})[name] == 1
