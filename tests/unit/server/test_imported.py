"""Directories of a Kafka node under a broker: refused before they were imported, served after."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient

from kstore.errors import StoreError
from kstore.log.files import Files
from kstore.metadata.importing.directories import locked_node
from kstore.metadata.importing.plan import plan_import
from kstore.metadata.importing.writing import write_import
from kstore.metadata.sqlite_tree import METADATA_FILE
from kstore.testing import BrokerThread
from tests.conformance.support.readback import read_back
from tests.support import kraft
from tests.support.kraft import NODE_ID, NodeDirectory, topic

A, B = UUID(int=0xA << 64), UUID(int=0xB << 64)
SETTINGS = {"node.id": str(NODE_ID), "log.retention.ms": "-1"}


@pytest.fixture
def node(tmp_path: Path) -> NodeDirectory:
    """A topic that is here, and one of which the second partition is on another node."""
    node = NodeDirectory(tmp_path / "data")
    kraft.write_log(node.metadata, [*topic("a", A), *topic("b", B, [(NODE_ID,), (9,)])])
    node.partition("a-0", A)
    node.partition("b-0", B)
    return node


def take_over(node: NodeDirectory) -> None:
    with locked_node([node.path], None, Files()) as found:
        write_import(plan_import(found), Files())


def test_it_is_refused_and_left_as_it_is(node: NodeDirectory) -> None:
    with pytest.raises(StoreError, match=f"but {node.path} no {METADATA_FILE}; `kstore import`"):
        BrokerThread(node.path, SETTINGS).start()
    assert node.closed.exists()
    for partition in ("a-0", "b-0"):
        (node.path / partition).rename(node.path.parent / partition)
    with pytest.raises(StoreError, match="holds data"):
        BrokerThread(node.path, SETTINGS).start()


def test_metadata_that_were_lost_are_asked_for(node: NodeDirectory, tmp_path: Path) -> None:
    take_over(node)
    (node.path / METADATA_FILE).unlink()
    with pytest.raises(StoreError, match="was imported, but the metadata made then are not in"):
        BrokerThread(node.path, SETTINGS).start()
    new = tmp_path / "new"
    with pytest.raises(StoreError, match="was imported"):
        BrokerThread(new, {**SETTINGS, "log.dirs": f"{new},{node.path}"}).start()


def test_it_is_served_but_for_what_lies_on_other_nodes(node: NodeDirectory) -> None:
    take_over(node)
    with BrokerThread(node.path, SETTINGS) as broker:
        servers = broker.bootstrap_servers
        for seen in read_back(servers, {"a": 1, "b": 1}).values():
            assert [one.value for one in seen] == [b"one", b"two"]
        topics = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=30).topics
        here, away = topics["b"].partitions[0], topics["b"].partitions[1]
        assert (here.leader, here.replicas, here.isrs) == (NODE_ID, [NODE_ID], [NODE_ID])
        assert (away.leader, away.replicas, away.isrs) == (-1, [9], [])
        assert away.error.code() == confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE
    assert not (node.path / "b-1").exists()
