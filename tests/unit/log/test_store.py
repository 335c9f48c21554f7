"""The data directory: one owner, one identity, and partitions that come and go."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import UUID, uuid4

import pytest

import kstore
from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.log.properties import format_uuid
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import NOW_MS, QuickFiles, batch, make_log, offsets, open_store


def test_the_embedded_api(tmp_path: Path) -> None:
    """The ten lines of the README."""
    with kstore.open(tmp_path / "data") as store:
        log = store.create("greetings")
        log.append_records([(b"key", b"hello"), (None, b"world")])
        log.append_records([kstore.Record(value=b"!", headers=[("a", b"b")])], compression="zstd")
        assert [(record.offset, record.key, record.value) for record in log.records()] == [
            (0, b"key", b"hello"),
            (1, None, b"world"),
            (2, None, b"!"),
        ]
        assert store.list() == [("greetings", 0)]
    with kstore.open(tmp_path / "data") as store:
        assert store.clean_start
        assert [record.value for record in store.logs["greetings", 0].records(2)] == [b"!"]


def test_names_are_loaded_when_they_are_used() -> None:
    assert set(kstore.__all__) <= set(dir(kstore))
    for name in kstore.__all__:
        assert getattr(kstore, name) is not None
    with pytest.raises(AttributeError):
        _ = kstore.nothing  # type: ignore[attr-defined]


def test_a_second_store_is_refused(store: Store, data_dir: Path) -> None:
    with pytest.raises(StoreError, match="in use") as caught:
        open_store(data_dir)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError):
        Store.lock(data_dir)


def test_a_lock_taken_before(data_dir: Path) -> None:
    lock = Store.lock(data_dir)
    with pytest.raises(StoreError):
        open_store(data_dir)
    with open_store(data_dir, lock=lock):
        pass
    lock.release()
    with open_store(data_dir):
        pass


def test_a_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError) as caught:
            open_store(path)
        assert "\n" not in str(caught.value)


def test_who_owns_the_directory(data_dir: Path) -> None:
    with open_store(data_dir, node_id=3, cluster_id="ASNFZ4mrze8BI0VniavN7w") as store:
        assert (store.node_id, store.cluster_id) == (3, "ASNFZ4mrze8BI0VniavN7w")
        directory_id = store.directory_id
    with open_store(data_dir) as store:
        assert (store.node_id, store.cluster_id) == (3, "ASNFZ4mrze8BI0VniavN7w")
        assert store.directory_id == directory_id
    for options in ({"node_id": 4}, {"cluster_id": "BSNFZ4mrze8BI0VniavN7w"}):
        with pytest.raises(StoreError, match=r"meta\.properties"):
            open_store(data_dir, **options)
    (data_dir / "meta.properties").write_text("version=7\n")
    with pytest.raises(StoreError, match="version 7"):
        open_store(data_dir)


def test_a_new_directory_gets_ids(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        assert store.node_id == 1
        assert len(store.cluster_id) == len(store.directory_id) == 22
        assert not store.clean_start


def test_the_mark_of_a_clean_stop(data_dir: Path) -> None:
    mark = data_dir / ".kafka_cleanshutdown"
    with open_store(data_dir) as store:
        make_log(store)
        assert not mark.exists()
    assert mark.read_bytes() == b'{"version":0,"brokerEpoch":-1}'
    with open_store(data_dir) as store:
        assert store.clean_start
        assert not mark.exists()


def test_what_a_partition_is_made_of(store: Store, data_dir: Path) -> None:
    topic_id = UUID("0123456789abcdef0123456789abcdef")
    log = store.create("topic", 3, topic_id=topic_id)
    assert log.topic_id == topic_id
    assert sorted(path.name for path in (data_dir / "topic-3").iterdir()) == [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "partition.metadata",
    ]
    assert (data_dir / "topic-3" / "partition.metadata").read_bytes() == (
        b"version: 0\ntopic_id: " + format_uuid(topic_id).encode()
    )


def test_partitions_come_back(data_dir: Path) -> None:
    ids = {}
    with open_store(data_dir) as store:
        for partition in range(20):
            log = store.create("topic", partition)
            ids[partition] = log.topic_id
            log.append(batch(b"%d" % partition), now_ms=NOW_MS)
    with open_store(data_dir) as store:
        assert store.list() == [("topic", partition) for partition in range(20)]
        for partition in range(20):
            log = store.logs["topic", partition]
            assert log.topic_id == ids[partition]
            assert [record.value for record in log.records()] == [b"%d" % partition]


def test_configs_of_topics(data_dir: Path) -> None:
    def config_of(topic: str) -> LogConfig:
        return LogConfig(segment_bytes=1000 if topic == "small" else 5000)

    with open_store(data_dir, config_of=config_of) as store:
        assert store.create("small").config.segment_bytes == 1000
        assert store.create("large").config.segment_bytes == 5000
        assert store.create("own", config=LogConfig(segment_bytes=7)).config.segment_bytes == 7
    with open_store(data_dir, config_of=config_of) as store:
        assert store.logs["small", 0].config.segment_bytes == 1000


def test_what_cannot_be_created(store: Store) -> None:
    store.create("topic")
    for topic, code in (
        ("topic", ErrorCode.TOPIC_ALREADY_EXISTS),
        ("../topic", ErrorCode.INVALID_TOPIC_EXCEPTION),
    ):
        with pytest.raises(KafkaError) as caught:
            store.create(topic)
        assert caught.value.code is code


def test_deleting_and_creating_at_once(store: Store, data_dir: Path) -> None:
    log = make_log(store)
    log.append(batch(b"old"), now_ms=NOW_MS)
    store.delete("topic")
    assert ("topic", 0) not in store.logs
    assert not (data_dir / "topic-0").exists()
    assert len(list(data_dir.glob("topic-0.*-delete"))) == 1
    again = make_log(store)
    again.append(batch(b"new"), now_ms=NOW_MS)
    assert [record.value for record in again.records()] == [b"new"]
    with pytest.raises(KafkaError):
        log.append(batch(), now_ms=NOW_MS)
    assert store.remove_deleted() == 1
    assert list(data_dir.glob("*-delete")) == []
    with pytest.raises(KafkaError) as caught:
        store.delete("other")
    assert caught.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_deleted_partitions_do_not_come_back(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        make_log(store)
        store.delete("topic")
    with open_store(data_dir) as store:
        assert store.list() == []
        assert store.remove_deleted() == 1


def test_a_prepared_log_is_only_there_when_adopted(store: Store) -> None:
    log = store.prepare("topic", 0, uuid4(), LogConfig())
    assert store.list() == []
    assert store.adopt(log) is store.logs["topic", 0]
    with pytest.raises(KafkaError) as caught:
        store.prepare("topic", 0, uuid4(), LogConfig())
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR


def test_strangers_are_named_and_left_alone(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strangers = [
        "notes",
        "remote-log-index-cache",
        "topic-0.0123456789abcdef0123456789abcdef-stray",
        "topic-1.0123456789abcdef0123456789abcdef-future",
    ]
    for stranger in strangers:
        (data_dir / stranger).mkdir(parents=True)
    with open_store(data_dir) as store:
        assert store.list() == []
        for stranger in strangers:
            assert str(data_dir / stranger) in caplog.text
            assert (data_dir / stranger).is_dir()


def test_checkpoints(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        for _ in range(5):
            log.append(batch(), now_ms=NOW_MS)
        store.checkpoint({("topic", 0): 4})
        texts = {path.name: path.read_text() for path in data_dir.glob("*-checkpoint")}
        assert texts == {
            "recovery-point-offset-checkpoint": "0\n1\ntopic 0 0\n",
            "log-start-offset-checkpoint": "0\n0\n",
            "replication-offset-checkpoint": "0\n1\ntopic 0 4\n",
        }
        log.roll()
        log.flush()
        log.advance_log_start(2)
        store.checkpoint()
        texts = {path.name: path.read_text() for path in data_dir.glob("*-checkpoint")}
        assert texts == {
            "recovery-point-offset-checkpoint": "0\n1\ntopic 0 5\n",
            "log-start-offset-checkpoint": "0\n1\ntopic 0 2\n",
            "replication-offset-checkpoint": "0\n1\ntopic 0 4\n",
        }


def test_a_checkpoint_that_would_say_the_same_is_not_written(data_dir: Path) -> None:
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        log = make_log(store)

        def writes(high_watermark: int) -> int:
            before = files.calls["write"]
            store.checkpoint({("topic", 0): high_watermark})
            return files.calls["write"] - before

        assert writes(0) == 3
        assert writes(0) == 0
        assert writes(1) == 1
        log.append(batch(), now_ms=NOW_MS)
        log.roll()
        assert writes(1) == 1
        # Of a write that failed nobody knows what it left: it is done again.
        files.fail("sync_directory", 5)
        with pytest.raises(StoreError):
            store.checkpoint({("topic", 0): 2})
        files.heal()
        assert writes(1) == 1


def test_checkpoints_that_cannot_be_read_say_nothing(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        make_log(store).append(batch(), now_ms=NOW_MS)
    for name in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint"):
        (data_dir / name).write_text("nonsense")
    with open_store(data_dir) as store:
        assert offsets(store.logs["topic", 0]) == [0]
    for name in ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint"):
        assert (data_dir / f"{name}.corrupt").read_text() == "nonsense"


def test_one_bad_partition_does_not_stop_the_others(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        make_log(store, "good").append(batch(), now_ms=NOW_MS)
        make_log(store, "bad")
    (data_dir / "bad-0" / "partition.metadata").write_text("nonsense")
    with open_store(data_dir) as store:
        assert offsets(store.logs["good", 0]) == [0]
        bad = store.logs["bad", 0]
        with pytest.raises(KafkaError) as caught:
            bad.read(0, 100, upto_offset=1)
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        store.checkpoint()
    # Nobody can say that all is well.
    assert not (data_dir / ".kafka_cleanshutdown").exists()


def test_nothing_is_written_while_nothing_happens(data_dir: Path) -> None:
    class Counting(QuickFiles):
        writes = 0

        def write(self, descriptor: int, data: bytes | memoryview, position: int) -> None:
            self.writes += 1
            super().write(descriptor, data, position)

    with open_store(data_dir) as store:
        for partition in range(5):
            store.create("topic", partition)
            store.logs["topic", partition].append(batch(), now_ms=NOW_MS)
    files = Counting()
    with open_store(data_dir, files=files) as store:
        assert offsets(store.logs["topic", 0]) == [0]
        assert files.writes == 0
    # Three checkpoints and the mark.
    assert files.writes == 4


def test_closing_twice(data_dir: Path) -> None:
    store = open_store(data_dir)
    log = make_log(store)
    store.close()
    store.close()
    log.close()


def test_files_are_ours_to_read_and_write(store: Store, data_dir: Path) -> None:
    make_log(store)
    for path in (data_dir / "topic-0").iterdir():
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o600 == 0o600


def test_a_log_that_failed_keeps_the_offsets_that_were_written_of_it(data_dir: Path) -> None:
    """Or records that were deleted would be back once the disk is."""
    with open_store(data_dir) as store:
        log = store.create("t")
        for _ in range(10):
            log.append_records([(None, b"v")])
        log.flush()
        log.advance_log_start(5)
        store.checkpoint()
        log.fail(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk"))
        store.checkpoint()
    with open_store(data_dir) as store:
        assert not store.clean_start
        assert store.logs["t", 0].log_start_offset == 5
        assert store.logs["t", 0].log_end_offset == 10
