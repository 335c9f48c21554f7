"""Creating and deleting topics: Kafka's refusals, one transaction, and what is there afterwards."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from kstore.errors import ErrorCode
from kstore.metadata.image import PartitionImage
from kstore.metadata.partitions import MAX_PARTITIONS_PER_REQUEST
from kstore.metadata.topics import NewTopic


def errors(results):
    return [None if result.error is None else result.error.code for result in results]


def refused(metadata, topic):
    """The code and message with which one topic is refused; nothing may have changed."""
    before, paths = metadata.image, metadata.paths()
    (result,) = metadata.create(topic)
    assert result.topic is None
    assert metadata.image is before
    assert metadata.paths() == paths
    return result.error.code, result.error.message


class TestCreate:
    def test_a_topic_is_in_the_image_when_the_answer_comes(self, metadata):
        (result,) = metadata.create(NewTopic("t", 3, 1, configs={"retention.ms": "5"}))
        topic = metadata.image.topics["t"]
        assert result.error is None
        assert result.topic is topic
        assert topic.partitions == tuple(PartitionImage(i, 1, 0, (1,), (1,)) for i in range(3))
        assert topic.configs == {"retention.ms": "5"}
        assert not topic.internal
        assert metadata.image.topic_ids == {topic.topic_id: topic}

    def test_the_default_counts(self, metadata):
        (result,) = metadata.create(NewTopic("t"))
        assert len(result.topic.partitions) == 2
        assert result.topic.partitions[0].replicas == (1,)

    def test_internal_topics_are_marked(self, metadata):
        metadata.create(NewTopic("__consumer_offsets"), NewTopic("__transaction_state"))
        assert all(topic.internal for topic in metadata.image.topics.values())

    def test_good_ones_are_made_beside_bad_ones(self, metadata):
        results = metadata.create(
            NewTopic("good"), NewTopic(".."), NewTopic("also.good"), NewTopic("good"), NewTopic("")
        )
        assert errors(results) == [
            None,
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            None,
            ErrorCode.TOPIC_ALREADY_EXISTS,
            ErrorCode.INVALID_TOPIC_EXCEPTION,
        ]
        assert [result.name for result in results] == ["good", "..", "also.good", "good", ""]
        assert set(metadata.image.topics) == {"good", "also.good"}

    def test_everything_is_there_after_a_restart(self, metadata):
        metadata.create(NewTopic("t", 3, configs={"cleanup.policy": "compact"}), NewTopic("a.b"))
        metadata.create(NewTopic("later"))
        before = metadata.image
        metadata.reopen()
        assert metadata.image.topics == before.topics
        assert metadata.image.topic_ids == before.topic_ids
        assert metadata.image.unified_names == before.unified_names
        assert errors(metadata.create(NewTopic("a_b"))) == [ErrorCode.INVALID_TOPIC_EXCEPTION]

    def test_validate_only_changes_nothing(self, metadata):
        before, paths = metadata.image, metadata.paths()
        results = metadata.create(NewTopic("t", 3), NewTopic(".."), validate_only=True)
        assert errors(results) == [None, ErrorCode.INVALID_TOPIC_EXCEPTION]
        assert len(results[0].topic.partitions) == 3
        assert metadata.image is before
        assert metadata.paths() == paths

    def test_a_thousand_at_once_are_one_transaction(self, metadata):
        told = []
        metadata.topics.subscribe(told.append)
        results = metadata.create(*(NewTopic(f"t-{number}", 1) for number in range(1000)))
        assert errors(results) == [None] * 1000
        assert len(told) == 1
        assert len(told[0].added) == 1000

    def test_many_at_the_same_time_are_made_in_order(self, metadata):
        answers = [metadata.topics.create([NewTopic(f"t-{n % 20}", 1)]) for n in range(40)]
        for number, answer in enumerate(answers):
            expected = None if number < 20 else ErrorCode.TOPIC_ALREADY_EXISTS
            assert errors(metadata.wait(answer)) == [expected]


class TestRefusals:
    def test_a_bad_name(self, metadata):
        assert refused(metadata, NewTopic("..")) == (
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: '..' is not allowed",
        )

    def test_an_existing_topic(self, metadata):
        metadata.create(NewTopic("a.b"))
        assert refused(metadata, NewTopic("a.b")) == (
            ErrorCode.TOPIC_ALREADY_EXISTS,
            "Topic 'a.b' already exists.",
        )

    def test_a_colliding_name(self, metadata):
        metadata.create(NewTopic("a.b"))
        assert refused(metadata, NewTopic("a_b")) == (
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "Topic 'a_b' collides with existing topic: a.b",
        )
        metadata.delete("a.b")
        assert errors(metadata.create(NewTopic("a_b"), NewTopic("a.b"))) == [
            None,
            ErrorCode.INVALID_TOPIC_EXCEPTION,
        ]

    @pytest.mark.parametrize("count", [0, -2])
    def test_too_few_partitions(self, metadata, count):
        assert refused(metadata, NewTopic("t", count)) == (
            ErrorCode.INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        )

    @pytest.mark.parametrize("factor", [0, -2])
    def test_too_few_replicas(self, metadata, factor):
        assert refused(metadata, NewTopic("t", 0, factor)) == (
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )

    def test_more_replicas_than_brokers(self, metadata):
        code, message = refused(metadata, NewTopic("t", 1, 3))
        assert code is ErrorCode.INVALID_REPLICATION_FACTOR
        assert message == (
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 "
            "cannot be reached because only 1 broker(s) are registered or some brokers have all "
            "their log directories cordoned."
        )

    def test_without_any_broker(self, no_broker):
        code, message = refused(no_broker, NewTopic("t", 1, 1))
        assert code is ErrorCode.INVALID_REPLICATION_FACTOR
        assert message == (
            "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or "
            "have all their log directories cordoned."
        )

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("segment.bytes", "abc", "Not a number of type INT"),
            ("cleanup.policy", "foo", "String must be one of: compact, delete"),
            ("retention.ms", "-2", "Value must be at least -1"),
        ],
    )
    def test_a_bad_config(self, metadata, name, value, reason):
        assert refused(metadata, NewTopic("t", configs={name: value})) == (
            ErrorCode.INVALID_CONFIG,
            f"Invalid value {value} for configuration {name}: {reason}",
        )

    def test_an_unknown_or_missing_config(self, metadata):
        assert refused(metadata, NewTopic("t", configs={"no.such.config": "1"})) == (
            ErrorCode.INVALID_CONFIG,
            "Unknown topic config name: no.such.config",
        )
        assert refused(metadata, NewTopic("t", configs={"retention.ms": None})) == (
            ErrorCode.INVALID_CONFIG,
            "Null value not supported for topic configs: retention.ms",
        )

    def test_too_many_partitions_in_one_request_refuse_it_whole(self, metadata):
        before = metadata.image
        results = metadata.create(
            NewTopic("a", MAX_PARTITIONS_PER_REQUEST - 1), NewTopic("b"), NewTopic("c", -7)
        )
        assert errors(results) == [ErrorCode.POLICY_VIOLATION] * 3
        assert results[0].error.message == "Excessively large number of partitions per request."
        assert metadata.image is before
        assert errors(metadata.create(NewTopic("a", (1 << 31) - 1))) == [ErrorCode.POLICY_VIOLATION]


class TestPlacement:
    def test_replicas_take_turns(self, three_brokers):
        (result,) = three_brokers.create(NewTopic("t", 6, 2))
        replicas = [partition.replicas for partition in result.topic.partitions]
        assert all(len(set(ids)) == 2 for ids in replicas)
        leaders = [partition.leader for partition in result.topic.partitions]
        assert leaders == [ids[0] for ids in replicas]
        assert sorted(leaders) == [1, 1, 2, 2, 3, 3]

    def test_one_partition_topics_do_not_all_meet_on_one_broker(self, three_brokers):
        results = three_brokers.create(*(NewTopic(f"t-{number}", 1, 1) for number in range(30)))
        leaders = [result.topic.partitions[0].leader for result in results]
        assert {leaders.count(node_id) for node_id in (1, 2, 3)} == {10}

    def test_a_manual_assignment(self, three_brokers):
        (result,) = three_brokers.create(NewTopic("t", assignments={1: [3, 1], 0: [2, 3]}))
        assert [partition.replicas for partition in result.topic.partitions] == [(2, 3), (3, 1)]
        assert [partition.leader for partition in result.topic.partitions] == [2, 3]
        assert [partition.index for partition in result.topic.partitions] == [0, 1]

    @pytest.mark.parametrize(
        ("assignments", "reason"),
        [
            ({0: []}, "an empty replica list."),
            ({0: [1], 1: [4]}, "broker 4, but no such broker is registered."),
            ({0: [2, 1, 2]}, "the broker 2 more than once."),
        ],
    )
    def test_replicas_that_can_not_be(self, three_brokers, assignments, reason):
        assert refused(three_brokers, NewTopic("t", assignments=assignments)) == (
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"The manual partition assignment includes {reason}",
        )

    def test_partitions_with_different_replica_counts(self, three_brokers):
        code, message = refused(three_brokers, NewTopic("t", assignments={0: [1], 1: [1, 2]}))
        assert code is ErrorCode.INVALID_REPLICA_ASSIGNMENT
        assert message == (
            "The manual partition assignment includes a partition with 2 replica(s), but this is "
            "not consistent with previous partitions, which have 1 replica(s)."
        )

    @pytest.mark.parametrize("assignments", [{0: [1], 2: [1]}, {-1: [1], 0: [1]}, {1: [1]}])
    def test_partitions_with_gaps(self, three_brokers, assignments):
        assert refused(three_brokers, NewTopic("t", assignments=assignments)) == (
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "partitions should be a consecutive 0-based integer sequence",
        )

    @pytest.mark.parametrize(
        ("topic", "name"),
        [
            (NewTopic("t", 1, assignments={0: [1]}), "numPartitions"),
            (NewTopic("t", -1, 1, assignments={0: [1]}), "replication factor"),
        ],
    )
    def test_an_assignment_besides_counts(self, metadata, topic, name):
        assert refused(metadata, topic) == (
            ErrorCode.INVALID_REQUEST,
            f"A manual partition assignment was specified, but {name} was not set to -1.",
        )


class TestDelete:
    def test_by_name_and_by_id(self, metadata):
        empty = metadata.paths()
        one, two, _ = metadata.create(NewTopic("one", 3), NewTopic("two"), NewTopic("three"))
        results = metadata.delete("one", two.topic.topic_id)
        assert errors(results) == [None, None]
        assert [result.topic for result in results] == [one.topic, two.topic]
        assert [result.name for result in results] == ["one", "two"]
        assert set(metadata.image.topics) == {"three"}
        assert len(metadata.image.topic_ids) == 1
        metadata.delete("three")
        assert metadata.paths() == empty

    def test_one_that_is_read_only_stays(self, metadata):
        (made,) = metadata.create(NewTopic("t", configs={"kstore.read.only": "True"}))
        results = metadata.delete("t", made.topic.topic_id)
        assert errors(results) == [ErrorCode.POLICY_VIOLATION] * 2
        assert "read-only" in results[0].error.message
        assert metadata.image.topics["t"] is made.topic

    def test_what_is_not_there(self, metadata):
        metadata.create(NewTopic("t"))
        results = metadata.delete("other", uuid4(), "t", "t", UUID(int=0))
        assert errors(results) == [
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.UNKNOWN_TOPIC_ID,
            None,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.UNKNOWN_TOPIC_ID,
        ]
        assert results[0].error.message == "This server does not host this topic-partition."
        assert results[1].error.message == "This server does not host this topic ID."
        assert [result.name for result in results] == ["other", "", "t", "t", ""]

    def test_a_recreated_topic_is_another_one(self, metadata):
        (old,) = metadata.create(NewTopic("t", 3))
        deleted, created = metadata.topics.delete(["t"]), metadata.topics.create([NewTopic("t", 1)])
        assert errors(metadata.wait(deleted)) == [None]
        (new,) = metadata.wait(created)
        assert new.topic.topic_id != old.topic.topic_id
        metadata.reopen()
        assert metadata.image.topics["t"] == new.topic
        assert errors(metadata.delete(old.topic.topic_id)) == [ErrorCode.UNKNOWN_TOPIC_ID]

    def test_an_old_image_stays_as_it_was(self, metadata):
        metadata.create(NewTopic("t"))
        before = metadata.image
        metadata.delete("t")
        assert list(before.topics) == ["t"]
        assert len(before.topic_ids) == 1


class TestLeaderEpochs:
    def test_they_rise_where_this_broker_leads(self, three_brokers):
        three_brokers.create(NewTopic("t", 6, 1), NewTopic("u", 1, assignments=None))
        led = sum(
            partition.leader == 1
            for topic in three_brokers.image.topics.values()
            for partition in topic.partitions
        )
        told = []
        three_brokers.topics.subscribe(told.append)
        for _ in range(2):
            assert three_brokers.wait(three_brokers.topics.bump_leader_epochs()) == led
        assert all(change.added == change.removed == () for change in told)
        assert "t" in {topic.name for topic in told[0].changed}
        three_brokers.reopen()
        for topic in three_brokers.image.topics.values():
            for partition in topic.partitions:
                assert partition.leader_epoch == (2 if partition.leader == 1 else 0)
            assert three_brokers.image.topic_ids[topic.topic_id] is topic

    def test_without_topics_nothing_is_written(self, metadata):
        before = metadata.image
        assert metadata.wait(metadata.topics.bump_leader_epochs()) == 0
        assert metadata.image is before


class TestSubscribers:
    def test_they_are_told_before_the_answer_leaves(self, metadata):
        order = []
        metadata.topics.subscribe(lambda change: order.append(("told", change.image)))
        created = metadata.topics.create([NewTopic("t")])
        created.then(lambda _: order.append(("answered", metadata.image)))
        metadata.wait(created)
        assert order == [("told", metadata.image), ("answered", metadata.image)]

    def test_they_are_told_what_is_different(self, metadata):
        told = []
        metadata.topics.subscribe(told.append)
        one, _ = metadata.create(NewTopic("one"), NewTopic(".."))
        metadata.wait(metadata.topics.bump_leader_epochs())
        changed = metadata.image.topics["one"]
        metadata.delete("one", "missing")
        metadata.delete("missing")
        assert [(c.added, c.removed, c.changed, c.brokers_changed) for c in told] == [
            ((one.topic,), (), (), False),
            ((), (), (changed,), False),
            ((), (changed,), (), False),
        ]

    def test_one_that_raises_hinders_nobody(self, metadata, caplog):
        def broken(_):
            raise RuntimeError("broken on purpose")

        told = []
        metadata.topics.subscribe(broken)
        metadata.topics.subscribe(told.append)
        assert errors(metadata.create(NewTopic("t"))) == [None]
        assert len(told) == 1
        assert "broken on purpose" in caplog.text
