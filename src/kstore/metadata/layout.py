"""Which node of the tree holds what: the layout that Kafka kept in ZooKeeper (its `ZkData`).

    /cluster/id                               {"version":"1","id":"..."}
    /controller                               {"version":1,"brokerid":1,"timestamp":"..."}
    /controller_epoch                         7
    /brokers/ids/1                            {"version":5,"host":"...","port":9092,...}
    /brokers/topics/T                         {"version":3,"topic_id":"...","partitions":{"0":[1]}}
    /brokers/topics/T/partitions/0/state      {"version":1,"leader":1,"leader_epoch":0,"isr":[1]}
    /config/topics/T                          {"version":1,"config":{"retention.ms":"1"}}
    /config/brokers/1, /config/brokers/<default>    the same, of one broker and of all
    /feature                                  {"version":1,"status":1,"features":{"F":1}}
    /latest_producer_id_block                 {"version":1,"broker":1,"block_start":"0",...}

Pure functions: values to nodes and back. What can't be read raises StoreError with the node's path.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from kstore.errors import StoreError
from kstore.metadata.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from kstore.metadata.names import is_internal, may_collide, unified_name
from kstore.metadata.tree import Create, Delete, Operation, Set, StoredNode

__all__ = [
    "BROKER_IDS",
    "CLUSTER_ID",
    "CONTROLLER",
    "CONTROLLER_EPOCH",
    "FEATURES",
    "PRODUCER_ID_BLOCK",
    "ROOTS",
    "add_partitions",
    "broker_path",
    "create_topic",
    "decode_cluster_id",
    "decode_controller_epoch",
    "decode_image",
    "decode_producer_id_block",
    "delete_topic",
    "encode_broker",
    "encode_cluster_id",
    "encode_controller",
    "encode_producer_id_block",
    "new_topic_id",
    "update_broker_configs",
    "update_features",
    "update_partitions",
    "update_topic_configs",
]

T = TypeVar("T")

CLUSTER_ID = "/cluster/id"
CONTROLLER = "/controller"
CONTROLLER_EPOCH = "/controller_epoch"
BROKER_IDS = "/brokers/ids"
PRODUCER_ID_BLOCK = "/latest_producer_id_block"
FEATURES = "/feature"
_TOPICS = "/brokers/topics"
_TOPIC_CONFIGS = "/config/topics"
_BROKER_CONFIGS = "/config/brokers"
_ALL_BROKERS = "<default>"

ROOTS = (
    "/cluster",
    "/brokers",
    BROKER_IDS,
    _TOPICS,
    "/config",
    _TOPIC_CONFIGS,
    _BROKER_CONFIGS,
)
"""The nodes that hold others, parents first; they exist from the start."""


def new_topic_id() -> UUID:
    """A random id. As Kafka's, its text does not begin with "-", which command lines would trip."""
    while True:
        topic_id = uuid.uuid4()
        if not _encode_id(topic_id).startswith("-"):
            return topic_id


def _encode_id(topic_id: UUID) -> str:
    return base64.urlsafe_b64encode(topic_id.bytes).rstrip(b"=").decode()


def _decode_id(text: str) -> UUID:
    return UUID(bytes=base64.urlsafe_b64decode(text + "=="))


# One for all: json.dumps would make an encoder for each call.
_json = json.JSONEncoder(separators=(",", ":"))


def _encode(value: object) -> bytes:
    return _json.encode(value).encode()


# The cluster and its brokers


def encode_cluster_id(cluster_id: str) -> bytes:
    return _encode({"version": "1", "id": cluster_id})


def decode_cluster_id(node: StoredNode) -> str:
    return _field(node, "id", str)


def encode_controller(node_id: int, now_ms: int) -> bytes:
    return _encode({"version": 1, "brokerid": node_id, "timestamp": str(now_ms)})


def decode_controller_epoch(node: StoredNode) -> int:
    try:
        return int(node.data)
    except ValueError as error:
        raise _unreadable(node, error) from error


def broker_path(node_id: int) -> str:
    return f"{BROKER_IDS}/{node_id}"


def encode_broker(broker: BrokerImage, now_ms: int) -> bytes:
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    body: dict[str, Any] = {
        "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"},
        "endpoints": [f"PLAINTEXT://{host}:{broker.port}"],
        "jmx_port": -1,
        "features": {},
        "host": broker.host,
        "timestamp": str(now_ms),
        "port": broker.port,
        "version": 5,
    }
    if broker.rack is not None:
        body["rack"] = broker.rack
    return _encode(body)


def _decode_broker(node: StoredNode) -> BrokerImage:
    body = _load(node)
    try:
        return BrokerImage(
            int(node.path.rpartition("/")[2]), body["host"], body["port"], body.get("rack")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(node, error) from error


# Topics


def create_topic(topic: TopicImage, controller_epoch: int) -> list[Operation]:
    """The nodes of a new topic, parents first."""
    base = f"{_TOPICS}/{topic.name}"
    operations: list[Operation] = [
        Create(f"{_TOPIC_CONFIGS}/{topic.name}", _encode_configs(topic.configs)),
        Create(base, _encode_topic(topic)),
        Create(f"{base}/partitions"),
    ]
    operations += _create_partitions(topic, 0, controller_epoch)
    return operations


def add_partitions(topic: TopicImage, first: int, controller_epoch: int) -> list[Operation]:
    """The nodes of a topic's new partitions, those from `first` on."""
    operations: list[Operation] = [Set(f"{_TOPICS}/{topic.name}", _encode_topic(topic))]
    operations += _create_partitions(topic, first, controller_epoch)
    return operations


def _create_partitions(topic: TopicImage, first: int, controller_epoch: int) -> list[Operation]:
    operations: list[Operation] = []
    for partition in topic.partitions[first:]:
        path = f"{_TOPICS}/{topic.name}/partitions/{partition.index}"
        operations.append(Create(path))
        operations.append(Create(f"{path}/state", _encode_state(partition, controller_epoch)))
    return operations


def _encode_topic(topic: TopicImage) -> bytes:
    return _encode(
        {
            "version": 3,
            "topic_id": _encode_id(topic.topic_id),
            "partitions": {
                str(partition.index): partition.replicas for partition in topic.partitions
            },
            "adding_replicas": {},
            "removing_replicas": {},
        }
    )


def update_topic_configs(name: str, configs: Mapping[str, str]) -> Operation:
    """The topic's own configs are these from now on."""
    return Set(f"{_TOPIC_CONFIGS}/{name}", _encode_configs(configs))


def update_broker_configs(
    name: str, before: Mapping[str, str], configs: Mapping[str, str]
) -> list[Operation]:
    """The dynamic configs of a broker ("" for all); there is a node only where there are any."""
    path = f"{_BROKER_CONFIGS}/{name or _ALL_BROKERS}"
    if not configs:
        return [Delete(path)] if before else []
    data = _encode_configs(configs)
    return [Set(path, data) if before else Create(path, data)]


def _encode_configs(configs: Mapping[str, str]) -> bytes:
    return _encode({"version": 1, "config": configs})


def delete_topic(topic: TopicImage) -> list[Operation]:
    """Undoes `create_topic`, children first."""
    base = f"{_TOPICS}/{topic.name}"
    operations = _delete_partitions(topic, topic.partitions)
    operations += (
        Delete(f"{base}/partitions"),
        Delete(base),
        Delete(f"{_TOPIC_CONFIGS}/{topic.name}"),
    )
    return operations


def remove_partitions(topic: TopicImage, gone: Iterable[PartitionImage]) -> list[Operation]:
    """Undoes `add_partitions`: the topic is as it was before."""
    return [Set(f"{_TOPICS}/{topic.name}", _encode_topic(topic)), *_delete_partitions(topic, gone)]


def _delete_partitions(topic: TopicImage, gone: Iterable[PartitionImage]) -> list[Operation]:
    operations: list[Operation] = []
    for partition in gone:
        path = f"{_TOPICS}/{topic.name}/partitions/{partition.index}"
        operations += (Delete(f"{path}/state"), Delete(path))
    return operations


def update_partitions(
    name: str, partitions: Iterable[PartitionImage], controller_epoch: int
) -> list[Operation]:
    """New leaders, epochs and in-sync replicas of some partitions of a topic."""
    return [
        Set(
            f"{_TOPICS}/{name}/partitions/{partition.index}/state",
            _encode_state(partition, controller_epoch),
        )
        for partition in partitions
    ]


def _encode_state(partition: PartitionImage, controller_epoch: int) -> bytes:
    return _encode(
        {
            "controller_epoch": controller_epoch,
            "leader": partition.leader,
            "version": 1,
            "leader_epoch": partition.leader_epoch,
            "isr": partition.isr,
        }
    )


# Features


def update_features(before: Mapping[str, int], levels: Mapping[str, int]) -> Operation:
    """The levels that were set are these from now on; there is a node once there are any."""
    data = _encode({"version": 1, "status": 1, "features": dict(levels)})
    return Set(FEATURES, data) if before else Create(FEATURES, data)


def _levels(features: dict[Any, Any]) -> dict[str, int]:
    return {str(name): int(level) for name, level in features.items()}


# Producer ids


def encode_producer_id_block(node_id: int, first: int, last: int) -> bytes:
    return _encode(
        {"version": 1, "broker": node_id, "block_start": str(first), "block_end": str(last)}
    )


def decode_producer_id_block(data: bytes) -> int:
    """The last id of the block that was claimed last."""
    return _field(StoredNode(PRODUCER_ID_BLOCK, data, 0), "block_end", int)


# All of it


def decode_image(
    by_path: Mapping[str, StoredNode], controller_id: int, cluster_id: str
) -> MetadataImage:
    """The image of a whole tree, as `Tree.walk` gave it."""
    topics: dict[str, TopicImage] = {}
    brokers: dict[int, BrokerImage] = {}
    broker_configs: dict[str, Mapping[str, str]] = {}
    features = by_path.get(FEATURES)
    for node in by_path.values():
        parent, _, name = node.path.rpartition("/")
        if parent == _TOPICS:
            topics[name] = _decode_topic(node, name, by_path)
        elif parent == BROKER_IDS:
            broker = _decode_broker(node)
            brokers[broker.node_id] = broker
        elif parent == _BROKER_CONFIGS:
            broker_configs["" if name == _ALL_BROKERS else name] = _field(node, "config", _texts)
    return MetadataImage(
        cluster_id=cluster_id,
        controller_id=controller_id,
        topics=topics,
        topic_ids={topic.topic_id: topic for topic in topics.values()},
        brokers=brokers,
        broker_configs=broker_configs,
        features={} if features is None else _field(features, "features", _levels),
        features_epoch=0 if features is None else features.version + 1,
        unified_names={unified_name(name): name for name in topics if may_collide(name)},
    )


def _decode_topic(node: StoredNode, name: str, by_path: Mapping[str, StoredNode]) -> TopicImage:
    body = _load(node)
    config_path = f"{_TOPIC_CONFIGS}/{name}"
    config = _load(by_path[config_path]) if config_path in by_path else {"config": {}}
    try:
        replicas = {int(index): tuple(ids) for index, ids in body["partitions"].items()}
        partitions = tuple(
            _decode_partition(name, index, replicas[index], by_path)
            for index in range(len(replicas))
        )
        return TopicImage(
            name, _decode_id(body["topic_id"]), partitions, config["config"], is_internal(name)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(node, error) from error


def _decode_partition(
    name: str, index: int, replicas: tuple[int, ...], by_path: Mapping[str, StoredNode]
) -> PartitionImage:
    path = f"{_TOPICS}/{name}/partitions/{index}/state"
    if path not in by_path:
        raise StoreError(f"metadata node {path} is missing")
    node = by_path[path]
    state = _load(node)
    try:
        isr = tuple(state["isr"])
        # Most partitions have all replicas in sync; a tuple less for each is worth a comparison.
        isr = replicas if isr == replicas else isr
        return PartitionImage(index, state["leader"], state["leader_epoch"], replicas, isr)
    except (KeyError, TypeError) as error:
        raise _unreadable(node, error) from error


def _load(node: StoredNode) -> dict[str, Any]:
    try:
        body = json.loads(node.data.decode())
    except (ValueError, RecursionError) as error:
        raise _unreadable(node, error) from error
    if not isinstance(body, dict):
        raise StoreError(f"metadata node {node.path} can't be read: it is not a JSON object")
    return body


def _field(node: StoredNode, key: str, convert: Callable[[Any], T]) -> T:
    body = _load(node)
    try:
        return convert(body[key])
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise _unreadable(node, error) from error


def _texts(configs: dict[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in configs.items()}


def _unreadable(node: StoredNode, error: Exception) -> StoreError:
    return StoreError(f"metadata node {node.path} can't be read: {error!r}")
