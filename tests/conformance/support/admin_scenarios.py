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
METADATA_VERSION = "metadata.version"
TRANSACTION_VERSION = "transaction.version"
SAFE_DOWNGRADE = 2
METADATA_LEVEL = 30  # 4.3-IV0


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


def ask_elect_leaders(question: Any, world: Any) -> None:
    wanted = [
        {"topic": world.topic, "partitions": [0, 9]},
        {"topic": "there-is-none", "partitions": [0]},
    ]
    reply = question.ask({"topic_partitions": wanted, "timeout": TIMEOUT_MS})
    assert getattr(reply, "error_code", ErrorCode.none) is ErrorCode.none
    results = {
        (topic.topic, one.partition_id): (one.error_code, bool(one.error_message))
        for topic in reply.replica_election_results
        for one in topic.partition_result
    }
    assert results == {
        (world.topic, 0): (ErrorCode.election_not_needed, True),
        (world.topic, 9): (ErrorCode.unknown_topic_or_partition, True),
        ("there-is-none", 0): (ErrorCode.unknown_topic_or_partition, True),
    }
    reply = question.ask({"topic_partitions": None, "timeout": TIMEOUT_MS})
    of_topic = {one.topic: one.partition_result for one in reply.replica_election_results}
    assert of_topic[world.topic] == ()


def ask_alter_partition_reassignments(question: Any, world: Any) -> None:
    def asked(name: str, index: int, replicas: list[int] | None) -> ErrorCode:
        partition = {"partition_index": index, "replicas": replicas}
        topic = {"name": name, "partitions": [partition]}
        reply = question.ask({"topics": [topic], "timeout": TIMEOUT_MS})
        assert reply.error_code is ErrorCode.none
        (answer,) = reply.responses
        (answered,) = answer.partitions
        assert (answer.name, answered.partition_index) == (name, index)
        return answered.error_code

    assert asked(world.topic, 0, [1]) is ErrorCode.none
    assert asked(world.topic, 0, None) is ErrorCode.no_reassignment_in_progress
    for replicas in ([2], [1, 2], [], [1, 1]):
        assert asked(world.topic, 0, replicas) is ErrorCode.invalid_replica_assignment
    assert asked(world.topic, 9, [1]) is ErrorCode.unknown_topic_or_partition
    assert asked("there-is-none", 0, [1]) is ErrorCode.unknown_topic_or_partition


def ask_list_partition_reassignments(question: Any, world: Any) -> None:
    topic = {"name": world.topic, "partition_indexes": [0]}
    for topics in (None, [topic]):
        reply = question.ask({"topics": topics, "timeout": TIMEOUT_MS})
        assert (reply.error_code, reply.error_message) == (ErrorCode.none, None)
        assert reply.topics == ()


def ask_update_features(question: Any, world: Any) -> None:
    def asked(name: str, level: int, upgrade_type: int = 1) -> Any:
        update = {"feature": name, "max_version_level": level, "upgrade_type": upgrade_type}
        return question.ask({"feature_updates": [update], "timeout": TIMEOUT_MS})

    assert asked(METADATA_VERSION, METADATA_LEVEL).error_code is ErrorCode.none
    refused = asked(METADATA_VERSION, METADATA_LEVEL - 1)
    assert refused.error_code is ErrorCode.invalid_update_version
    assert refused.error_message.startswith("The update failed for all features since")
    for name, level in ((METADATA_VERSION, 999), (METADATA_VERSION, -1), ("no.such.feature", 1)):
        assert asked(name, level).error_code is ErrorCode.invalid_update_version
    assert asked(TRANSACTION_VERSION, 1).error_code is ErrorCode.invalid_update_version
    if question.version == 0:  # knows another switch
        return
    assert asked(TRANSACTION_VERSION, 1, SAFE_DOWNGRADE).error_code is ErrorCode.none
    wrong_way = asked(TRANSACTION_VERSION, 2, SAFE_DOWNGRADE)
    assert wrong_way.error_code is ErrorCode.invalid_update_version
    assert asked(TRANSACTION_VERSION, 2).error_code is ErrorCode.none


def ask_describe_quorum(question: Any, world: Any) -> None:
    partitions = [{"partition_index": 0}]
    asked = {"topics": [{"topic_name": "__cluster_metadata", "partitions": partitions}]}
    reply = question.ask(asked)
    assert reply.error_code is ErrorCode.none
    ((partition,),) = [one.partitions for one in reply.topics]
    assert (partition.error_code, partition.leader_id) == (ErrorCode.none, 1)
    assert partition.leader_epoch > 0
    assert [one.replica_id for one in partition.current_voters] == [1]
    assert [one.node_id for one in getattr(reply, "nodes", ())] in ([], [1])
    asked = {"topics": [{"topic_name": world.topic, "partitions": partitions}]}
    ((partition,),) = [one.partitions for one in question.ask(asked).topics]
    assert partition.error_code is ErrorCode.unknown_topic_or_partition


SCENARIOS: dict[ApiKey, Callable[[Any, Any], None]] = {
    ApiKey.ALTER_CONFIGS: ask_alter_configs,
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: ask_alter_partition_reassignments,
    ApiKey.CREATE_PARTITIONS: ask_create_partitions,
    ApiKey.DESCRIBE_CLUSTER: ask_describe_cluster,
    ApiKey.DESCRIBE_QUORUM: ask_describe_quorum,
    ApiKey.DESCRIBE_TOPIC_PARTITIONS: ask_describe_topic_partitions,
    ApiKey.ELECT_LEADERS: ask_elect_leaders,
    ApiKey.INCREMENTAL_ALTER_CONFIGS: ask_incremental_alter_configs,
    ApiKey.LIST_CONFIG_RESOURCES: ask_list_config_resources,
    ApiKey.LIST_PARTITION_REASSIGNMENTS: ask_list_partition_reassignments,
    ApiKey.UPDATE_FEATURES: ask_update_features,
}
