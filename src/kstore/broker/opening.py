"""Opening the data directories of a broker: locked, identified, loaded.

All are of one node of one cluster. A directory that the system can't open is left out, as in Kafka,
so long as another one works and it is not that of the metadata. What is wrong with what lies in
them keeps the broker from starting. Any thread; several directories are loaded side by side.

Sources: Kafka's LogManager, MetaPropertiesEnsemble.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

from kstore.broker.log_dirs import LogDirs
from kstore.configs import LogConfig
from kstore.errors import DirectoryFailure, KafkaError, StoreError
from kstore.log.directory import DirectoryLock, holds_data, identify, read_identity
from kstore.log.files import Files
from kstore.log.log import Log
from kstore.log.properties import IMPORTED, MetaProperties, format_uuid, random_uuid
from kstore.log.store import Store
from kstore.metadata.sqlite_tree import METADATA_FILE
from kstore.runtime import Runtime

__all__ = ["open_log_dirs", "refuse_unknown_data"]

log = logging.getLogger("kstore.log_dirs")


def open_log_dirs(
    directories: Sequence[Path],
    *,
    metadata_directory: Path | None = None,
    node_id: int,
    config: LogConfig,
    runtime: Runtime,
    load_threads: int = 2,
    files: Files | None = None,
) -> LogDirs:
    """Opens what `log.dirs` and `metadata.log.dir` name; the metadata lie in the first of log.dirs
    if they have no directory of their own. `load_threads` are for each directory. Raises
    StoreError, whose text is one line for a person.
    """
    opening = _Opening(files or Files())
    paths = [path.absolute() for path in directories]
    metadata = paths[0] if metadata_directory is None else metadata_directory.absolute()
    opening.needed = metadata
    try:
        opening.take([metadata, *(path for path in paths if path != metadata)], node_id)
        stores = opening.load(paths, config, runtime, load_threads)
        _finish_moves(stores)
        _check_unique(one for store in stores for one in store.logs.values())
    except BaseException:
        opening.give_up()
        raise
    return LogDirs(
        runtime,
        stores,
        paths=paths,
        metadata_directory=metadata,
        metadata_lock=opening.locks.get(metadata),
    )


def refuse_unknown_data(
    directories: Sequence[Path], metadata_directory: Path | None, files: Files | None = None
) -> None:
    """Raises StoreError if there are partitions, or metadata of Kafka, but no metadata of ours.

    Nobody would know which topics they are: they would be strays, and stand in the way of topics
    with the same names. What can't be read is left to `open_log_dirs`.
    """
    files = files or Files()
    metadata = directories[0] if metadata_directory is None else metadata_directory
    if files.exists(metadata / METADATA_FILE):
        return
    for path in dict.fromkeys([metadata, *directories]):
        try:
            mark = files.read_file(path / IMPORTED)
            unknown = holds_data(files, path)
        except OSError:
            continue
        if mark is not None:
            raise StoreError(
                f"{path} was imported, but the metadata made then are not in {metadata}: "
                f"{mark.decode(errors='replace').strip()}"
            )
        if unknown:
            raise StoreError(
                f"{path} holds data but {metadata} no {METADATA_FILE}; `kstore import` takes over "
                "the directories of a Kafka node"
            )


class _Opening:
    """What was taken so far: `locks` of directories that are not open yet, and stores."""

    def __init__(self, files: Files) -> None:
        self.locks: dict[Path, DirectoryLock] = {}
        self.needed = Path()
        """The directory without which there is no start."""
        self._files = files
        self._stores: list[Store] = []

    def take(self, paths: list[Path], node_id: int) -> None:
        """Locks the directories and sees whose they are; a new one becomes ours."""
        places: dict[Path, Path] = {}
        cluster_id = None
        for path in paths:
            other = places.setdefault(path.resolve(), path)
            if other is not path:
                raise StoreError(f"Duplicate log directory found: {other} and {path}")
            try:
                self.locks[path] = DirectoryLock(self._files, path)
                found = _read_identity(self._files, path)
            except DirectoryFailure as error:
                self._leave_out(path, error)
                continue
            if cluster_id is None and found is not None:
                cluster_id = found.cluster_id
        cluster_id = cluster_id or format_uuid(random_uuid())
        owners: dict[str, Path] = {}
        for path in list(self.locks):
            try:
                found = identify(self._files, path, cluster_id, node_id)
            except OSError as error:
                self._leave_out(path, _failure(path, error))
                continue
            other = owners.setdefault(found.directory_id, path)
            if other is not path:
                raise StoreError(
                    f"Duplicate directory ID {found.directory_id} found. It was the ID of "
                    f"{other}, but also of {path}"
                )

    def load(
        self, paths: list[Path], config: LogConfig, runtime: Runtime, threads: int
    ) -> list[Store]:
        """Opens the stores of those of `paths` that can be; at least one."""

        def open_one(path: Path) -> Store | StoreError:
            try:
                return Store.open(
                    path,
                    config=config,
                    runtime=runtime,
                    files=self._files,
                    lock=self.locks.pop(path),
                    load_threads=threads,
                )
            except StoreError as error:
                return error

        paths = [path for path in paths if path in self.locks]
        with ThreadPoolExecutor(max(len(paths), 1), thread_name_prefix="kstore-open") as pool:
            opened = list(zip(paths, pool.map(open_one, paths), strict=True))
        self._stores = [store for _, store in opened if isinstance(store, Store)]
        for path, store in opened:
            if isinstance(store, DirectoryFailure):
                self._leave_out(path, store)
            elif isinstance(store, StoreError):
                raise store
            elif store.failure is not None:
                self._stores.remove(store)
                store.abandon()
                self._leave_out(path, _failure(path, store.failure))
        if not self._stores:
            raise StoreError("none of the data directories can be used")
        return self._stores

    def _leave_out(self, path: Path, error: DirectoryFailure) -> None:
        if path == self.needed:
            raise error
        log.error("data directory offline directory=%s reason=%s", path, error)
        lock = self.locks.pop(path, None)
        if lock is not None:
            lock.release()

    def give_up(self) -> None:
        for store in self._stores:
            try:
                store.close()
            except (KafkaError, StoreError) as error:
                log.error("not closed cleanly directory=%s reason=%s", store.directory, error)
        for lock in self.locks.values():
            lock.release()


def _read_identity(files: Files, path: Path) -> MetaProperties | None:
    try:
        return read_identity(files, path)
    except OSError as error:
        raise _failure(path, error) from error


def _failure(path: Path, error: Exception) -> DirectoryFailure:
    return DirectoryFailure(f"the data directory {path} can't be opened: {error}")


def _finish_moves(stores: list[Store]) -> None:
    """Drops the logs whose complete copy in another directory has taken their name already.

    Raises DirectoryFailure.
    """
    for store, other in permutations(stores, 2):
        for key in store.logs.keys() & other.logs.keys():
            try:
                if store.moved_from(store.logs[key]) == other.directory_id:
                    log.info("finishing the move of %s-%d to %s", *key, store.directory)
                    other.delete(*key)
                    store.finish_move(store.logs[key])
            except (OSError, KafkaError) as error:
                raise _failure(store.directory, error) from error


def _check_unique(logs: Iterable[Log]) -> None:
    """Raises StoreError if two directories hold the same partition of the same topic.

    With another topic id one of them is what a deleted topic has left behind; that is seen to when
    it is known which. Where an id can't be read, nobody can tell.
    """
    found: dict[tuple[str, int], list[Log]] = {}
    for one in logs:
        for other in found.setdefault((one.topic, one.partition), []):
            if one.topic_id == other.topic_id or not (one.topic_id.int and other.topic_id.int):
                raise StoreError(
                    f"Duplicate log directories for {one.name} are found in both {other.directory} "
                    f"and {one.directory}. One of the two has to be removed by hand; it is "
                    "recommended to remove that in the data directory that has failed recently"
                )
        found[one.topic, one.partition].append(one)
