"""`__consumer_offsets` is compacted, and groups know the same before, after and in the next run."""

from __future__ import annotations

import pytest
from kio.schema.errors import ErrorCode

from kstore.coordinator.records import OffsetCommitRecord, StoredRecord, decode_record
from kstore.wire.versions import ApiKey
from tests.conformance.support.config_verbs import alter_topic
from tests.conformance.support.group_verbs import (
    commit,
    committed,
    first_commit,
    wait_for_groups,
)
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic, read_records
from tests.conftest import StartBroker

OK = ErrorCode.none
OFFSETS = "__consumer_offsets"
SETTINGS = {
    "offsets.topic.num.partitions": 1,
    "log.cleaner.backoff.ms": 50,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
}
ROUNDS = 100


def stored(client: RawClient) -> list[StoredRecord]:
    """What is left in the topic, tombstones too."""
    return [decode_record(one.key, one.value) for one in read_records(client, OFFSETS)]


@pytest.mark.parametrize("end", [pytest.param("stop", marks=pytest.mark.slow), "kill"])
def test_offsets_are_the_same_after_compaction_and_a_restart(
    start_broker: StartBroker, end: str
) -> None:
    broker = start_broker(SETTINGS)
    with PipelinedClient(broker.bootstrap_servers) as client:
        topic, _ = create_topic(client)
        forgotten, _ = create_topic(client)
        first_commit(client, "deleted", topic, 0)
        alter_topic(
            client,
            OFFSETS,
            internal_segment_bytes="2000",
            min_cleanable_dirty_ratio="0.01",
            delete_retention_ms="100",
        )
        for offset in range(ROUNDS):
            for group in ("kept", "deleted"):
                assert commit(client, group, topic, offset) is OK
        assert commit(client, "kept", forgotten, 7) is OK
        delete = {"groups_names": ["deleted"]}
        assert client.ask(ApiKey.DELETE_GROUPS, 2, delete).results[0].error_code is OK
        partitions = [{"partition_index": 0}]
        forget = {"group_id": "kept", "topics": [{"name": forgotten, "partitions": partitions}]}
        assert client.ask(ApiKey.OFFSET_DELETE, 0, forget).error_code is OK

        def is_compacted() -> bool:
            """One commit of `kept` is left, and nothing of what was deleted, tombstones neither."""
            assert commit(client, "filler", topic, 1, "x" * 500) is OK
            groups = [one for one in stored(client) if isinstance(one, OffsetCommitRecord)]
            others = [(one.group_id, one.topic) for one in groups if one.group_id != "filler"]
            return others == [("kept", topic)]

        wait_until(is_compacted, "only last commits", within_s=30)
        assert committed(client, "kept", topic) == ROUNDS - 1
    getattr(broker, end)()
    broker.start()
    with PipelinedClient(broker.bootstrap_servers) as client:
        wait_for_groups(client, "kept", topic)
        assert committed(client, "kept", topic) == ROUNDS - 1
        assert committed(client, "kept", forgotten) == -1
        assert committed(client, "deleted", topic) == -1
        assert committed(client, "filler", topic) == 1
        assert commit(client, "kept", topic, ROUNDS) is OK
        assert committed(client, "kept", topic) == ROUNDS
