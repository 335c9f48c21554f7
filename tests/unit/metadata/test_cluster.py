"""Opening the metadata, brokers, and what becomes of changes that the tree does not take."""

from __future__ import annotations

import json

import pytest

from kstore.configs import TopicDefaults
from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.metadata import layout
from kstore.metadata.brokers import Brokers
from kstore.metadata.cluster import Cluster
from kstore.metadata.image import BrokerImage
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.topics import NewTopic, Topics
from kstore.metadata.tree import OutcomeUnknown, Set, WriteFailed
from kstore.runtime import Later, SynchronousRuntime
from kstore.testing.manual import ManualRuntime


def open_cluster(stores, tree, cluster_id="cluster-1", node_id=1):
    return stores.wait(Cluster.open(tree, stores.runtime, node_id=node_id, cluster_id=cluster_id))


class TestOpening:
    def test_an_empty_tree_gets_its_roots(self, stores):
        tree = stores.open()
        cluster = open_cluster(stores, tree)
        assert cluster.image.cluster_id == "cluster-1"
        assert cluster.image.controller_id == 1
        assert cluster.image.topics == {}
        paths = {node.path for node in stores.wait(tree.walk("/"))}
        assert paths == {*layout.ROOTS, "/", "/cluster/id", "/controller", "/controller_epoch"}
        assert json.loads(stores.wait(tree.get("/cluster/id")).data)["id"] == "cluster-1"

    def test_each_start_is_a_new_epoch_of_the_controller(self, stores):
        for epoch in (b"1", b"2", b"3"):
            tree = stores.reopen()
            open_cluster(stores, tree)
            assert stores.wait(tree.get("/controller_epoch")).data == epoch

    def test_the_metadata_of_another_cluster(self, stores):
        open_cluster(stores, stores.open())
        with pytest.raises(
            StoreError,
            match=r"^the metadata belongs to cluster cluster-1, the data directory to other$",
        ):
            open_cluster(stores, stores.reopen(), cluster_id="other")

    @pytest.mark.parametrize("path", ["/cluster/id", "/controller_epoch"])
    def test_a_node_that_can_not_be_read_is_named(self, stores, path):
        tree = stores.open()
        open_cluster(stores, tree)
        stores.wait(tree.set(path, b"nonsense"))
        with pytest.raises(StoreError, match=f"^metadata node {path} can't be read: "):
            open_cluster(stores, stores.reopen())

    def test_a_second_controller_is_refused(self, stores):
        tree = stores.open()
        open_cluster(stores, tree)
        with pytest.raises(StoreError, match=r"^metadata: /controller: the node exists$"):
            open_cluster(stores, tree, node_id=2)


class TestBrokers:
    def test_a_broker_is_known_until_its_process_ends(self, stores):
        tree = stores.open()
        cluster = open_cluster(stores, tree)
        told = []
        cluster.subscribe(told.append)
        broker = BrokerImage(1, "127.0.0.1", 9092, "west")
        stores.wait(Brokers(cluster).register(broker))
        assert cluster.image.brokers == {1: broker}
        assert [change.brokers_changed for change in told] == [True]
        assert stores.wait(tree.children("/brokers/ids")) == ["1"]
        assert open_cluster(stores, stores.reopen()).image.brokers == {}

    def test_an_id_is_taken_once(self, metadata):
        with pytest.raises(KafkaError) as caught:
            metadata.wait(metadata.brokers.register(BrokerImage(1, "other", 1)))
        assert caught.value.code is ErrorCode.DUPLICATE_BROKER_REGISTRATION
        assert metadata.image.brokers[1].host == "host-1"


class FaultyTree:
    """A tree whose next transactions go wrong as told: before or after they are applied."""

    def __init__(self, tree):
        self._tree = tree
        self.faults = []

    def transact(self, operations):
        if not self.faults:
            return self._tree.transact(operations)
        error, applied = self.faults.pop(0)
        if applied:
            self._tree.transact(operations).result()
        return Later.failed(error)

    def __getattr__(self, name):
        return getattr(self._tree, name)


def code(answer):
    """The error that a request for one topic ends with."""
    (result,) = answer.result()
    return result.error.code


class TestRefusedWrites:
    @pytest.fixture
    def tree(self, tmp_path):
        tree = SqliteTree(tmp_path / METADATA_FILE, SynchronousRuntime())
        yield FaultyTree(tree)
        tree.close()

    @pytest.fixture
    def topics(self, tree):
        opened = Cluster.open(tree, SynchronousRuntime(), node_id=1, cluster_id="c")
        cluster = opened.result()
        Brokers(cluster).register(BrokerImage(1, "h", 1)).result()
        return Topics(cluster, TopicDefaults())

    def test_a_full_disk(self, tree, topics):
        tree.faults.append((WriteFailed("/", "full"), False))
        before = topics.image
        failed = topics.create([NewTopic("t")])
        assert code(failed) is ErrorCode.KAFKA_STORAGE_ERROR
        assert topics.image is before
        assert topics.create([NewTopic("t")]).result()[0].error is None

    @pytest.mark.parametrize("applied", [True, False])
    def test_after_an_unknown_outcome_the_image_is_what_the_tree_holds(self, tree, topics, applied):
        topics.create([NewTopic("kept"), NewTopic("bumped")])
        told = []
        topics.subscribe(told.append)
        tree.faults.append((OutcomeUnknown("/", "lost"), applied))
        failed = topics.create([NewTopic("t", 2)])
        assert code(failed) is ErrorCode.REQUEST_TIMED_OUT
        assert ("t" in topics.image.topics) is applied
        assert [topic.name for change in told for topic in change.added] == ["t"] * applied
        tree.faults.append((OutcomeUnknown("/", "lost"), applied))
        assert topics.bump_leader_epochs().error.code is ErrorCode.REQUEST_TIMED_OUT
        assert topics.image.topics["bumped"].partitions[0].leader_epoch == applied
        tree.faults.append((OutcomeUnknown("/", "lost"), applied))
        assert code(topics.delete(["kept"])) is ErrorCode.REQUEST_TIMED_OUT
        assert ("kept" in topics.image.topics) is not applied
        assert [topic.name for change in told for topic in change.removed] == ["kept"] * applied

    def test_a_controller_that_was_replaced_changes_nothing_more(self, tree, topics):
        tree.transact([Set("/controller_epoch", b"9")]).result()
        failed = topics.create([NewTopic("t")])
        assert code(failed) is ErrorCode.NOT_CONTROLLER
        assert topics.image.topics == {}

    def test_a_closed_tree(self, tree, topics):
        tree.close()
        assert code(topics.create([NewTopic("t")])) is ErrorCode.KAFKA_STORAGE_ERROR

    def test_all_that_shared_the_transaction_are_told(self, tmp_path):
        runtime = ManualRuntime()
        tree = FaultyTree(SqliteTree(tmp_path / METADATA_FILE, runtime))
        opened = Cluster.open(tree, runtime, node_id=1, cluster_id="c")
        runtime.run_workers()
        cluster = opened.result()
        registered = Brokers(cluster).register(BrokerImage(1, "h", 1))
        runtime.run_workers()
        registered.result()
        topics = Topics(cluster, TopicDefaults())
        answers = [topics.create([NewTopic(f"t-{number}")]) for number in range(3)]
        tree.faults += [(WriteFailed("/", "full"), False)] * 2
        answers.append(topics.create([NewTopic("..")]))
        runtime.run_workers()
        codes = [code(answer) for answer in answers]
        assert codes == [ErrorCode.KAFKA_STORAGE_ERROR] * 4
        later = topics.create([NewTopic("t-0")])
        runtime.run_workers()
        assert later.result()[0].error is None
        closed = tree.close()
        runtime.run_workers()
        closed.result()


def test_a_plan_at_fault_fails_alone_and_changes_nothing(metadata):
    def broken(_):
        raise RuntimeError("broken on purpose")

    before = metadata.image
    with pytest.raises(RuntimeError, match="broken on purpose"):
        metadata.wait(metadata.cluster.submit(broken))
    assert metadata.image is before
    assert metadata.create(NewTopic("t"))[0].error is None
