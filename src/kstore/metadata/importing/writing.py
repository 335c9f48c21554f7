"""Writes what was decided: our metadata beside Kafka's files, and a mark in each directory.

The tree is made under another name and then renamed: a crash leaves all of it or nothing. Kafka's
own files stay as they are. To undo an import before anything was served, remove the files whose
names begin with `kstore-`. Any thread.
"""

from __future__ import annotations

import json
from pathlib import Path

from kstore.errors import StoreError
from kstore.log.files import Files
from kstore.log.properties import IMPORTED
from kstore.metadata import layout
from kstore.metadata.importing.plan import ImportPlan
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.tree import Create, Operation, TreeError
from kstore.runtime import SynchronousRuntime

__all__ = ["write_import"]

_UNFINISHED = METADATA_FILE + ".tmp"


def write_import(plan: ImportPlan, files: Files) -> None:
    """The directories, which the caller has locked, are ours on return.

    Raises StoreError, OSError.
    """
    directory = plan.node.metadata_directory
    _remove(files, directory, _UNFINISHED)
    tree = SqliteTree(directory / _UNFINISHED, SynchronousRuntime())
    try:
        tree.transact(_operations(plan)).result()
    except (TreeError, ValueError) as error:
        raise StoreError(f"the metadata can't be stored: {error}") from error
    finally:
        tree.close().result()
    files.rename(directory / _UNFINISHED, directory / METADATA_FILE)
    _remove(files, directory, _UNFINISHED)
    files.sync_directory(directory)
    mark = json.dumps({"version": 1, "metadata": str(directory)}).encode()
    for one in plan.node.directories:
        files.replace_file(one.path / IMPORTED, mark + b"\n")


def _operations(plan: ImportPlan) -> list[Operation]:
    """All nodes of the tree, parents first; who opens it adds those of a running cluster."""
    operations: list[Operation] = [Create(path) for path in layout.ROOTS]
    cluster_id = layout.encode_cluster_id(plan.node.cluster_id)
    operations.append(Create(layout.CLUSTER_ID, cluster_id))
    for topic in plan.topics:
        operations += layout.create_topic(topic, 0)
    for name, configs in plan.broker_configs.items():
        operations += layout.update_broker_configs(name, {}, configs)
    if plan.next_producer_id:
        block = layout.encode_producer_id_block(plan.node.node_id, 0, plan.next_producer_id - 1)
        operations.append(Create(layout.PRODUCER_ID_BLOCK, block))
    return operations


def _remove(files: Files, directory: Path, prefix: str) -> None:
    """Removes what an import that did not end has left, and what SQLite keeps beside its file."""
    for name, _ in files.scan(directory):
        if name.startswith(prefix):
            files.delete(directory / name)
