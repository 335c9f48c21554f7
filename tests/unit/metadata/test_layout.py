"""The nodes as Kafka wrote them to ZooKeeper, and back."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from kstore.errors import StoreError
from kstore.metadata import layout
from kstore.metadata.image import BrokerImage, PartitionImage, TopicImage
from kstore.metadata.tree import Create, StoredNode

TOPIC = TopicImage(
    "t",
    UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    (PartitionImage(0, 1, 0, (1, 2), (1, 2)), PartitionImage(1, 2, 5, (2, 1), (2,))),
    {"retention.ms": "5"},
    internal=False,
)


def nodes_of(topic):
    return {
        operation.path: StoredNode(operation.path, operation.data, 0)
        for operation in layout.create_topic(topic, controller_epoch=7)
    }


def bodies(nodes):
    return {path: json.loads(node.data) for path, node in nodes.items() if node.data}


def test_the_nodes_of_a_topic():
    assert bodies(nodes_of(TOPIC)) == {
        "/config/topics/t": {"version": 1, "config": {"retention.ms": "5"}},
        "/brokers/topics/t": {
            "version": 3,
            "topic_id": "-B1Prn3sEdCnZQCgyR5r9g",
            "partitions": {"0": [1, 2], "1": [2, 1]},
            "adding_replicas": {},
            "removing_replicas": {},
        },
        "/brokers/topics/t/partitions/0/state": {
            "controller_epoch": 7,
            "leader": 1,
            "version": 1,
            "leader_epoch": 0,
            "isr": [1, 2],
        },
        "/brokers/topics/t/partitions/1/state": {
            "controller_epoch": 7,
            "leader": 2,
            "version": 1,
            "leader_epoch": 5,
            "isr": [2],
        },
    }


def test_each_node_comes_after_its_parent_and_goes_before_it():
    roots = {"/brokers/topics", "/config/topics"}
    created = [operation.path for operation in layout.create_topic(TOPIC, 1)]
    for number, path in enumerate(created):
        assert path.rpartition("/")[0] in roots | set(created[:number])
    deleted = [operation.path for operation in layout.delete_topic(TOPIC)]
    assert sorted(deleted) == sorted(created)
    for number, path in enumerate(deleted):
        assert path.rpartition("/")[0] in roots | set(deleted[number:])


def test_the_node_of_a_broker():
    data = layout.encode_broker(BrokerImage(3, "::1", 9092, "west"), now_ms=17)
    assert json.loads(data) == {
        "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"},
        "endpoints": ["PLAINTEXT://[::1]:9092"],
        "jmx_port": -1,
        "features": {},
        "host": "::1",
        "timestamp": "17",
        "port": 9092,
        "version": 5,
        "rack": "west",
    }


def test_the_other_nodes():
    assert json.loads(layout.encode_cluster_id("abc")) == {"version": "1", "id": "abc"}
    assert json.loads(layout.encode_controller(1, 17)) == {
        "version": 1,
        "brokerid": 1,
        "timestamp": "17",
    }
    assert json.loads(layout.encode_producer_id_block(1, 1000, 1999)) == {
        "version": 1,
        "broker": 1,
        "block_start": "1000",
        "block_end": "1999",
    }


def test_an_image_comes_back_from_its_nodes():
    nodes = nodes_of(TOPIC)
    for broker in (BrokerImage(1, "a", 1), BrokerImage(2, "b", 2, "west")):
        path = layout.broker_path(broker.node_id)
        nodes[path] = StoredNode(path, layout.encode_broker(broker, 0), 0)
    image = layout.decode_image(nodes, 1, "abc")
    assert image.topics == {"t": TOPIC}
    assert image.topic_ids == {TOPIC.topic_id: TOPIC}
    assert image.brokers == {1: BrokerImage(1, "a", 1), 2: BrokerImage(2, "b", 2, "west")}
    assert (image.cluster_id, image.controller_id) == ("abc", 1)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"\xff", b"1", b"{}"),
        pytest.param(b"[" * 100_000, id="deep"),
        b'{"partitions":{"0":[1],"2":[1]},"topic_id":"-B1Prn3sEdCnZQCgyR5r9g"}',
        b'{"partitions":[],"topic_id":"-B1Prn3sEdCnZQCgyR5r9g"}',
        b'{"partitions":{},"topic_id":"-B1P"}',
    ],
)
def test_an_unreadable_topic_is_named(data):
    nodes = nodes_of(TOPIC)
    nodes["/brokers/topics/t"] = StoredNode("/brokers/topics/t", data, 0)
    with pytest.raises(StoreError, match=r"^metadata node /brokers/topics/t can't be read: "):
        layout.decode_image(nodes, 1, "abc")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"isr":1}', b'{"isr":[1],"leader":1}'])
def test_an_unreadable_partition_is_named(data):
    nodes = nodes_of(TOPIC)
    path = "/brokers/topics/t/partitions/1/state"
    nodes[path] = StoredNode(path, data, 0)
    with pytest.raises(StoreError, match=f"^metadata node {path} can't be read: "):
        layout.decode_image(nodes, 1, "abc")
    del nodes[path]
    with pytest.raises(StoreError, match=f"^metadata node {path} is missing$"):
        layout.decode_image(nodes, 1, "abc")


def test_an_unreadable_producer_id_block_is_named():
    for data in (b"", b"{}", b'{"block_end":"x"}', b'{"block_end":1e999}'):
        with pytest.raises(StoreError, match=r"^metadata node /latest_producer_id_block can't"):
            layout.decode_producer_id_block(data)


def test_topic_ids_are_safe_on_a_command_line():
    operations = [
        layout.create_topic(TopicImage("t", layout.new_topic_id(), (), {}, False), 1)[1]
        for _ in range(500)
    ]
    for operation in operations:
        assert isinstance(operation, Create)
        assert not json.loads(operation.data)["topic_id"].startswith("-")
