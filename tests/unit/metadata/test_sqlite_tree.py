"""What is special to the embedded store: its file, its batches, and storage that fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from kstore.errors import StoreError
from kstore.metadata.sqlite_nodes import FORMAT
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.tree import (
    Create,
    Node,
    OutcomeUnknown,
    Set,
    TreeClosed,
    WriteFailed,
)
from kstore.runtime import SynchronousRuntime
from kstore.testing.manual import ManualRuntime


@pytest.fixture
def file(tmp_path):
    return tmp_path / METADATA_FILE


@pytest.fixture
def tree(file):
    tree = SqliteTree(file, SynchronousRuntime())
    yield tree
    tree.close()


class Connection:
    """A connection that fails one statement with an error of SQLite's, once."""

    def __init__(self, connection, statement, code):
        self._connection = connection
        self._statement = statement
        self._code = code

    def execute(self, statement, *args):
        if statement.startswith(self._statement):
            self._statement = "never again"
            error = sqlite3.OperationalError("failed on purpose")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(statement, *args)

    def __getattr__(self, name):
        return getattr(self._connection, name)


def break_at(tree, statement, code):
    tree._table._connection = Connection(tree._table._connection, statement, code)


class TestFile:
    def test_two_files_are_left_after_a_close(self, file):
        """The other one keeps room for the log of the next start, when the disk may be full."""
        for _ in range(2):
            tree = SqliteTree(file, SynchronousRuntime())
            assert not file.with_name(f"{METADATA_FILE}-reserve").exists()
            log_size = file.with_name(f"{METADATA_FILE}-wal").stat().st_size
            tree.exists("/a").result()
            tree.close().result()
            left = {path.name: path.stat().st_size for path in file.parent.iterdir()}
            assert left.keys() == {METADATA_FILE, f"{METADATA_FILE}-reserve"}
            assert left[f"{METADATA_FILE}-reserve"] >= log_size

    def test_a_commit_waits_for_the_disk(self, tree):
        # What a kill can't show: only with both of these a power cut loses nothing either.
        execute = tree._table._connection.execute
        assert execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert execute("PRAGMA synchronous").fetchone() == (2,)

    def test_no_second_opener(self, file, tree):
        with pytest.raises(StoreError, match="database is locked"):
            SqliteTree(file, SynchronousRuntime())

    def test_a_file_of_something_else(self, file):
        file.write_bytes(b"#!/bin/sh\n" * 1000)
        with pytest.raises(StoreError, match=f"{METADATA_FILE}: file is not a database$"):
            SqliteTree(file, SynchronousRuntime())

    def test_a_database_of_something_else(self, file):
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE node (a)")
        connection.close()
        with pytest.raises(StoreError, match=r"not a metadata file of kstore$"):
            SqliteTree(file, SynchronousRuntime())

    def test_a_newer_file(self, file):
        SqliteTree(file, SynchronousRuntime()).close().result()
        with sqlite3.connect(file) as connection:
            connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
        connection.close()
        with pytest.raises(StoreError, match=r"written by a newer kstore \(format 2, this one"):
            SqliteTree(file, SynchronousRuntime())

    def test_a_truncated_file(self, file):
        tree = SqliteTree(file, SynchronousRuntime())
        tree.transact([Create(f"/{number}", b"x" * 500) for number in range(500)]).result()
        tree.close().result()
        os.truncate(file, file.stat().st_size // 2)
        with pytest.raises((StoreError, TreeClosed), match="malformed"):
            walk_all(file)

    def test_an_empty_file_is_a_new_one(self, file):
        file.touch()
        tree = SqliteTree(file, SynchronousRuntime())
        assert tree.get("/").result() == Node(b"", 0)
        tree.close().result()

    def test_no_directory_for_it(self, tmp_path):
        with pytest.raises(StoreError, match="unable to open database file"):
            SqliteTree(tmp_path / "missing" / METADATA_FILE, SynchronousRuntime())


def walk_all(file):
    tree = SqliteTree(file, SynchronousRuntime())
    try:
        return tree.walk("/").result()
    finally:
        tree.close().result()


class TestBatches:
    def test_what_gathers_while_a_worker_is_busy_is_one_transaction(self, file):
        runtime = ManualRuntime()
        tree = SqliteTree(file, runtime)
        commits = []
        tree._table._connection.set_trace_callback(
            lambda statement: commits.append(statement) if statement == "COMMIT" else None
        )
        answers = [tree.create(f"/{number}") for number in range(100)]
        assert runtime.work_count == 1
        runtime.run_workers(1)
        assert [answer.done for answer in answers] == [True] + [False] * 99
        runtime.run_workers(1)
        assert all(answer.done for answer in answers)
        assert len(commits) == 2
        closed = tree.close()
        runtime.run_workers()
        closed.result()

    def test_watches_that_write_again_do_not_pile_up_on_the_stack(self, tree):
        left = 2 * sys.getrecursionlimit()

        def again(_):
            nonlocal left
            left -= 1
            if left:
                tree.get("/a", again)
                tree.set("/a", b"")

        tree.create("/a").result()
        tree.get("/a", again)
        tree.set("/a", b"")
        assert left == 0
        assert tree.get("/a").result().version == 2 * sys.getrecursionlimit()


class TestFailingStorage:
    def test_a_full_disk_fails_only_what_does_not_fit(self, file):
        runtime = ManualRuntime()
        tree = SqliteTree(file, runtime)
        pages = tree._table._connection.execute("PRAGMA page_count").fetchone()[0]
        tree._table._connection.execute(f"PRAGMA max_page_count = {pages + 50}")
        first = tree.create("/first")
        answers = [
            tree.create("/small", b"1"),
            tree.create("/large", b"x" * 500_000),
            tree.get("/small"),
            tree.set("/small", b"2"),
        ]
        runtime.run_workers()
        first.result()
        with pytest.raises(WriteFailed, match="full"):
            answers[1].result()
        assert answers[0].error is None
        assert answers[2].result() == Node(b"1", 0)
        assert answers[3].result() == 1
        tree.close()
        runtime.run_workers()
        assert [node.path for node in walk_all(file)] == ["/", "/first", "/small"]

    def test_a_failed_commit_leaves_the_outcome_unknown_and_ends_the_tree(self, file, caplog):
        runtime = ManualRuntime()
        tree = SqliteTree(file, runtime)
        first = tree.create("/a")
        runtime.run_workers()
        first.result()
        break_at(tree, "COMMIT", sqlite3.SQLITE_IOERR)
        write = tree.set("/a", b"1")
        others = [tree.get("/a"), tree.set("/a", b"2")]
        runtime.run_workers()
        with pytest.raises(OutcomeUnknown):
            write.result()
        for answer in [*others, tree.get("/a"), tree.create("/b")]:
            with pytest.raises(TreeClosed, match="the metadata store failed: failed on purpose"):
                answer.result()
        assert "metadata store failed" in caplog.text
        closed = tree.close()
        runtime.run_workers()
        closed.result()
        assert [node.path for node in walk_all(file)] == ["/", "/a"]

    def test_an_error_before_the_commit_ends_the_tree_too(self, tree):
        break_at(tree, "SELECT", sqlite3.SQLITE_CORRUPT)
        with pytest.raises(TreeClosed):
            tree.get("/a").result()
        with pytest.raises(TreeClosed):
            tree.create("/a").result()


WRITER = """
import sys
from pathlib import Path
from kstore.metadata.sqlite_tree import SqliteTree
from kstore.metadata.tree import Create, Set
from kstore.runtime import SynchronousRuntime

tree = SqliteTree(Path(sys.argv[1]), SynchronousRuntime())
number = int(tree.get("/last").result().data)
while True:
    number += 1
    data = str(number).encode()
    tree.transact([Set("/last", data), Create(f"/all/{number}", data)]).result()
    print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_was_acknowledged(file):
    tree = SqliteTree(file, SynchronousRuntime())
    tree.transact([Create("/last", b"0"), Create("/all")]).result()
    tree.close().result()
    for kill_after in (1, 7, 40):
        acknowledged = write_until_killed(file, kill_after)
        tree = SqliteTree(file, SynchronousRuntime())
        last = int(tree.get("/last").result().data)
        names = tree.children("/all").result()
        tree.close().result()
        assert last >= acknowledged
        assert sorted(map(int, names)) == list(range(1, last + 1))


def write_until_killed(file, count):
    """Kills a writing process after `count` acknowledgements; gives the last one."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(count):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            acknowledged = int(line)
    assert process.returncode == -signal.SIGKILL
    return acknowledged


def test_set_survives_without_a_clean_close(file, tmp_path):
    tree = SqliteTree(file, SynchronousRuntime())
    tree.create("/a", b"1").result()
    tree.transact([Set("/a", b"2")]).result()
    # What a crash would leave: the file and its write-ahead log as they are now.
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (file, file.with_name(file.name + "-wal")):
        (copy / path.name).write_bytes(path.read_bytes())
    tree.close().result()
    assert walk_all(copy / METADATA_FILE)[-1] == ("/a", b"2", 1)
