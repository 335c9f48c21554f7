"""The bodies of the tree's nodes, each damaged on its own."""

from __future__ import annotations

import random
from functools import partial
from uuid import UUID

from kstore.errors import StoreError
from kstore.metadata import layout
from kstore.metadata.image import BrokerImage, PartitionImage, TopicImage
from kstore.metadata.importing.records import RECORD_TYPES, decode_record
from kstore.metadata.tree import Create, StoredNode
from kstore.wire.codec import DecodeError
from kstore.wire.schema import Message
from tests.support.kraft import frame
from tests.support.messages import random_message
from tests.support.parsers import Parser, register

BROKER = BrokerImage(1, "::1", 9092, "rack")
TOPIC = TopicImage(
    "t",
    UUID(int=(1 << 100) + 7),
    (PartitionImage(0, 1, 0, (1, 2), (1, 2)), PartitionImage(1, 2, 5, (2, 1), (2,))),
    {"retention.ms": "5"},
    internal=False,
)
NODES = {
    layout.broker_path(1): layout.encode_broker(BROKER, 1_700_000_000_000),
    **{
        operation.path: operation.data
        for operation in layout.create_topic(TOPIC, controller_epoch=7)
        if isinstance(operation, Create) and operation.data
    },
}


def _decode_image(path: str, data: bytes) -> object:
    bodies = {**NODES, path: data}
    nodes = {path: StoredNode(path, body, 0) for path, body in bodies.items()}
    return layout.decode_image(nodes, 1, "cluster")


for _path in NODES:
    register(
        Parser(
            f"metadata node {_path}",
            partial(_decode_image, _path),
            partial(lambda path: [NODES[path]], _path),
            StoreError,
        )
    )
register(
    Parser(
        "metadata node of the cluster's id",
        lambda data: layout.decode_cluster_id(StoredNode(layout.CLUSTER_ID, data, 0)),
        lambda: [layout.encode_cluster_id("cluster")],
        StoreError,
    )
)
register(
    Parser(
        "metadata node of the controller's epoch",
        lambda data: layout.decode_controller_epoch(StoredNode(layout.CONTROLLER_EPOCH, data, 0)),
        lambda: [b"71"],
        StoreError,
        truncated_is_error=False,
    )
)
register(
    Parser(
        "metadata node of producer ids",
        layout.decode_producer_id_block,
        lambda: [layout.encode_producer_id_block(1, 1000, 1999)],
        StoreError,
    )
)


def _records(message_type: type[Message], version: int) -> list[bytes]:
    choices = random.Random(f"{message_type.__name__} v{version}")
    return [frame(random_message(message_type, version, choices), version)]


for _type in RECORD_TYPES.values():
    for _version in _type.VERSIONS:
        register(
            Parser(
                f"Kafka's {_type.__name__} v{_version}",
                decode_record,
                partial(_records, _type, _version),
                DecodeError,
            )
        )
