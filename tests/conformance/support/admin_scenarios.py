"""What the APIs of configs and topics' administration are asked, at any of their versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey

__all__ = ["SCENARIOS"]

SET = 0
TOPIC_RESOURCE = 2
BROKER_RESOURCE = 4
TIMEOUT_MS = 30_000


def ask_incremental_alter_configs(question: Any, world: Any) -> None:
    change = {"name": "flush.messages", "config_operation": SET, "value": "1000"}
    resource = {
        "resource_type": TOPIC_RESOURCE,
        "resource_name": world.topic,
        "configs": [change],
    }
    (changed,) = question.ask({"resources": [resource]}).responses
    assert (changed.error_code, changed.error_message) == (ErrorCode.none, None)
    assert (changed.resource_type, changed.resource_name) == (TOPIC_RESOURCE, world.topic)
    bad = {**resource, "configs": [{**change, "value": "many"}]}
    (refused,) = question.ask({"resources": [bad], "validate_only": True}).responses
    assert refused.error_code is ErrorCode.invalid_config
    assert "flush.messages" in refused.error_message


def ask_alter_configs(question: Any, world: Any) -> None:
    name = world.new_name("alter-configs")
    world.create_topic(name)
    resource = {
        "resource_type": TOPIC_RESOURCE,
        "resource_name": name,
        "configs": [{"name": "flush.messages", "value": "1000"}],
    }
    (changed,) = question.ask({"resources": [resource]}).responses
    assert (changed.error_code, changed.error_message) == (ErrorCode.none, None)
    assert (changed.resource_type, changed.resource_name) == (TOPIC_RESOURCE, name)


def ask_list_config_resources(question: Any, world: Any) -> None:
    reply = question.ask({"resource_types": [TOPIC_RESOURCE, BROKER_RESOURCE]})
    assert reply.error_code is ErrorCode.none
    if question.version == 0:  # client metrics only
        assert reply.config_resources == ()
        return
    listed = {(one.resource_type, one.resource_name) for one in reply.config_resources}
    assert listed >= {(TOPIC_RESOURCE, world.topic), (BROKER_RESOURCE, "1")}


def ask_create_partitions(question: Any, world: Any) -> None:
    name = world.new_name("create-partitions")
    world.create_topic(name)
    topic = {"name": name, "count": 2}
    (made,) = question.ask({"topics": [topic], "timeout": TIMEOUT_MS}).results
    assert (made.name, made.error_code, made.error_message) == (name, ErrorCode.none, None)
    (refused,) = question.ask({"topics": [topic], "timeout": TIMEOUT_MS}).results
    assert refused.error_code is ErrorCode.invalid_partitions
    assert refused.error_message == "Topic already has 2 partition(s)."


def ask_describe_cluster(question: Any, world: Any) -> None:
    reply = question.ask({"include_cluster_authorized_operations": True, "endpoint_type": 1})
    assert reply.error_code is ErrorCode.none
    assert [(one.host, one.port) for one in reply.brokers] == [world.address]
    assert reply.controller_id == reply.brokers[0].broker_id
    assert len(reply.cluster_id) == 22
    assert reply.cluster_authorized_operations > 0


def ask_describe_topic_partitions(question: Any, world: Any) -> None:
    wanted = {"topics": [{"name": world.topic}], "response_partition_limit": 10, "cursor": None}
    reply = question.ask(wanted)
    assert reply.next_cursor is None
    (topic,) = reply.topics
    assert (topic.error_code, topic.name) == (ErrorCode.none, world.topic)
    assert topic.topic_id == world.topic_id
    (partition,) = topic.partitions
    assert (partition.leader_id, partition.replica_nodes, partition.isr_nodes) == (1, (1,), (1,))
    assert (partition.eligible_leader_replicas, partition.offline_replicas) == ((), ())


SCENARIOS: dict[ApiKey, Callable[[Any, Any], None]] = {
    ApiKey.ALTER_CONFIGS: ask_alter_configs,
    ApiKey.CREATE_PARTITIONS: ask_create_partitions,
    ApiKey.DESCRIBE_CLUSTER: ask_describe_cluster,
    ApiKey.DESCRIBE_TOPIC_PARTITIONS: ask_describe_topic_partitions,
    ApiKey.INCREMENTAL_ALTER_CONFIGS: ask_incremental_alter_configs,
    ApiKey.LIST_CONFIG_RESOURCES: ask_list_config_resources,
}
