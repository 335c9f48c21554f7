"""Damage to the metadata tree's file: a start says in one line what is wrong, or works."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.tree import TreeError
from kstore.runtime import SynchronousRuntime
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic
from tests.faults.damage import damage, refusal


def open_and_use(file: Path) -> None:
    """Opens a tree, reads all of it and writes to it."""
    trees: list[SqliteTree] = []
    if refusal(lambda: trees.append(SqliteTree(file, SynchronousRuntime()))):
        return
    (tree,) = trees
    for answer in (tree.walk("/"), tree.children("/"), tree.create("/new", b"x")):
        assert answer.done
        assert answer.error is None or isinstance(answer.error, TreeError), answer.error
    tree.close()


def test_a_damaged_tree(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    whole = tmp_path / METADATA_FILE
    tree = SqliteTree(whole, SynchronousRuntime())
    for number in range(200):
        tree.create(f"/node-{number}", b"data %d" % number)
    tree.close()
    for number in range(20):
        copy = tmp_path / str(number)
        copy.mkdir()
        shutil.copy(whole, copy)
        print(number, damage(copy / METADATA_FILE, choose))
        open_and_use(copy / METADATA_FILE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_broker_on_a_damaged_tree(tmp_path: Path, seed: int) -> None:
    """It starts, or ends with one line that says why; it never ends with a traceback."""
    choose = random.Random(seed)
    with BrokerProcess(tmp_path / "whole") as broker:
        for number in range(20):
            create_topic(broker.bootstrap_servers, f"topic-{number}", 3)
    whole = broker.data_dir
    for number in range(40):
        broken = BrokerProcess(tmp_path / str(number))
        shutil.copytree(whole, broken.data_dir)
        print(number, damage(broken.data_dir / METADATA_FILE, choose))
        try:
            broken.start()
        except AssertionError:
            assert broken.process is not None
            status = broken.process.wait()
            BrokerProcess.running.remove(broken)
            broken.process = None
            assert status == 1, broken.output()
        else:
            broken.kill()
        assert "Traceback" not in broken.output(), broken.output()
        shutil.rmtree(broken.directory)
