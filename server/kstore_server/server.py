"""A broker that serves: everything opened in order, and closed in the reverse order.

Used by the process (`main`) and by the broker inside a test (`kstore.testing.broker`). Both run it
on a loop of theirs: `await start()`, then `await stop()`; a start that fails closes what it opened.
The order: the addresses, so that a port in use is told before anything is touched; the data
directories with their locks and logs; the tree; the partitions; the door.
"""

from __future__ import annotations

import logging
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from kstore import configs
from kstore.broker.broker import Broker
from kstore.broker.dispatch import Dispatcher
from kstore.broker.log_dirs import LogDirs
from kstore.broker.opening import open_log_dirs, refuse_unknown_data
from kstore.broker.upkeep import Upkeep
from kstore.configs import Settings
from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.metadata.brokers import Brokers
from kstore.metadata.cluster import Cluster
from kstore.metadata.configs import Configs
from kstore.metadata.features import Features
from kstore.metadata.image import BrokerImage
from kstore.metadata.producer_ids import ProducerIds
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.topics import Topics
from kstore_server.listener import Listener
from kstore_server.runtime import AsyncioRuntime

__all__ = ["Server"]

log = logging.getLogger("kstore.server")


class Server:
    """One broker and its listener."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened = AsyncExitStack()
        self.directories = [Path(name) for name in configs.data_directories(settings)]
        self.host = ""
        self.port = 0
        self.node_id: int = settings["node.id"]
        self.cluster_id = ""
        self._broker: Broker | None = None

    @property
    def broker(self) -> Broker:
        """The broker's rooms, once started; for those who look at them from the loop."""
        if self._broker is None:
            raise RuntimeError("the server is not started")
        return self._broker

    @property
    def address(self) -> str:
        """Where it listens, as a client on this machine would write it: `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Opens everything and accepts clients. StoreError or OSError if that can't be."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Closes everything; what was acknowledged is on disk and marked as cleanly closed."""
        await self._opened.aclose()

    async def _start(self) -> None:
        runtime = AsyncioRuntime()
        self._opened.callback(runtime.close)
        sockets = self._bind(configs.listeners(self._settings)[0])
        broker = self._broker = await self._open_broker(runtime)
        upkeep = Upkeep(broker)
        upkeep.start()
        self._opened.callback(upkeep.stop)
        listener = Listener(runtime, Dispatcher(broker), configs.network_config(broker.settings))
        broker.live.subscribe(
            lambda settings: listener.reconfigure(configs.network_config(settings))
        )
        self._opened.push_async_callback(listener.close)
        await listener.start(sockets)

    async def _open_broker(self, runtime: AsyncioRuntime) -> Broker:
        settings = self._settings
        named = settings["metadata.log.dir"]
        metadata_directory = Path(named) if named else None

        def open_directories() -> LogDirs:
            refuse_unknown_data(self.directories, metadata_directory)
            return open_log_dirs(
                self.directories,
                metadata_directory=metadata_directory,
                node_id=self.node_id,
                config=configs.log_config(settings),
                runtime=runtime,
                load_threads=settings["num.recovery.threads.per.data.dir"],
            )

        log_dirs = await runtime.wait(runtime.run_in_worker(open_directories))
        self._opened.push_async_callback(self._close_logs, runtime, log_dirs)
        self.cluster_id = log_dirs.cluster_id
        metadata_file = log_dirs.metadata_directory / METADATA_FILE
        tree = await runtime.wait(runtime.run_in_worker(lambda: SqliteTree(metadata_file, runtime)))
        self._opened.push_async_callback(self._close_tree, runtime, tree)
        cluster = await runtime.wait(
            Cluster.open(tree, runtime, node_id=self.node_id, cluster_id=self.cluster_id)
        )
        await runtime.wait(Brokers(cluster).register(self._advertised()))
        topics = Topics(cluster, configs.topic_defaults(settings))
        if not log_dirs.clean_start:
            await self._bump_leader_epochs(runtime, topics)
        broker = Broker(
            settings=settings,
            runtime=runtime,
            log_dirs=log_dirs,
            topics=topics,
            configs=Configs(cluster),
            features=Features(cluster),
            producer_ids=ProducerIds(tree, self.node_id),
        )
        # Partitions that are being made, checkpoints and syncs come to their end before the logs
        # are closed: a directory must not be marked as clean beside them.
        self._opened.push_async_callback(runtime.idle)
        self._opened.callback(broker.stop)
        await runtime.wait(broker.start())
        return broker

    @staticmethod
    async def _bump_leader_epochs(runtime: AsyncioRuntime, topics: Topics) -> None:
        try:
            await runtime.wait(topics.bump_leader_epochs())
        except KafkaError as error:
            if error.code != ErrorCode.KAFKA_STORAGE_ERROR:
                raise
            # What is there is to be read all the same.
            log.error("leader epochs not raised after an unclean stop reason=%s", error)

    @staticmethod
    async def _close_tree(runtime: AsyncioRuntime, tree: SqliteTree) -> None:
        await runtime.wait(tree.close())

    @staticmethod
    async def _close_logs(runtime: AsyncioRuntime, log_dirs: LogDirs) -> None:
        await runtime.wait(runtime.run_in_worker(log_dirs.close))

    def _advertised(self) -> BrokerImage:
        """The address that clients are told, with the real port where a free one was taken."""
        address = configs.advertised_listeners(self._settings)[0]
        host = address.host or socket.gethostname()
        return BrokerImage(
            self.node_id, host, address.port or self.port, self._settings["broker.rack"]
        )

    def _bind(self, address: configs.Listener) -> list[socket.socket]:
        """Sockets on every address that the host's name stands for, all with one port."""
        sockets: list[socket.socket] = []
        self.host, self.port = address.host or "0.0.0.0", address.port
        found = socket.getaddrinfo(
            address.host or None,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, kind, protocol, _, target in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            self._opened.callback(listening.close)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind((target[0], self.port, *target[2:]))
            except OSError as error:
                raise StoreError(f"can't listen on {address}: {error.strerror}") from error
            self.port = listening.getsockname()[1]
            sockets.append(listening)
        return sockets
