"""`kstore transactions COMMAND`: Kafka's kafka-transactions (`TransactionsCommand`).

As with Kafka's tool, --bootstrap-server and --command-config may stand before the command. Rows
are sorted; `force-terminate` is what Kafka's tool calls forceTerminateTransaction, and is known
here by both names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from kstore.cli import output
from kstore.cli.app import call_with_words
from kstore.cli.errors import CallError, CommandError
from kstore.cli.hanging_transactions import hanging_transactions
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.output import Column
from kstore.cli.properties import read_properties
from kstore.cli.transaction_questions import (
    Partition,
    abort_on_partition,
    describe_producers,
    describe_transaction,
    fence,
    list_transactions,
    partitions_of,
)
from kstore.cli.wire_cluster import WireCluster

__all__ = ["COMMANDS", "run_transactions"]

Topic = Annotated[str, typer.Option("--topic", metavar="TOPIC", help="The topic.")]
PartitionIndex = Annotated[
    int, typer.Option("--partition", metavar="N", min=0, help="The partition.")
]
TransactionalId = Annotated[
    str,
    typer.Option(
        "--transactional-id", "--transactionalId", metavar="ID", help="The transactional id."
    ),
]

_LISTING = (
    Column("transactional_id", "TransactionalId"),
    Column("coordinator", "Coordinator"),
    Column("producer_id", "ProducerId"),
    Column("transaction_state", "TransactionState"),
)
_DESCRIPTION = (
    Column("coordinator_id", "CoordinatorId"),
    Column("transactional_id", "TransactionalId"),
    Column("producer_id", "ProducerId"),
    Column("producer_epoch", "ProducerEpoch"),
    Column("transaction_state", "TransactionState"),
    Column("transaction_timeout_ms", "TransactionTimeoutMs"),
    Column("current_transaction_start_time_ms", "CurrentTransactionStartTimeMs"),
    Column("transaction_duration_ms", "TransactionDurationMs"),
    Column("topic_partitions", "TopicPartitions"),
)
_PRODUCERS = (
    Column("producer_id", "ProducerId"),
    Column("producer_epoch", "ProducerEpoch"),
    Column("latest_coordinator_epoch", "LatestCoordinatorEpoch"),
    Column("last_sequence", "LastSequence"),
    Column("last_timestamp", "LastTimestamp"),
    Column("current_transaction_start_offset", "CurrentTransactionStartOffset"),
)
_HANGING = (
    Column("topic", "Topic"),
    Column("partition", "Partition"),
    Column("producer_id", "ProducerId"),
    Column("producer_epoch", "ProducerEpoch"),
    Column("coordinator_epoch", "CoordinatorEpoch"),
    Column("start_offset", "StartOffset"),
    Column("last_timestamp", "LastTimestamp"),
    Column("duration_min", "Duration(min)"),
)


def list_them(
    bootstrap_server: BootstrapServer,
    duration_filter: Annotated[
        int | None,
        typer.Option("--duration-filter", metavar="MS", help="Only those open for longer."),
    ] = None,
    transactional_id_pattern: Annotated[
        str | None,
        typer.Option(
            "--transactional-id-pattern", metavar="REGEX", help="Only ids that match, RE2's way."
        ),
    ] = None,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """List transactional ids, and the states of their transactions."""
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        found = list_transactions(
            cluster, duration_ms=duration_filter, pattern=transactional_id_pattern
        )
    rows = [
        {
            "transactional_id": one.transactional_id,
            "coordinator": one.coordinator_id,
            "producer_id": one.producer_id,
            "transaction_state": one.state,
        }
        for one in found
    ]
    _show(_LISTING, rows, as_json=json)


def describe(
    bootstrap_server: BootstrapServer,
    transactional_id: TransactionalId,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Describe a transactional id and its transaction."""
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        found = describe_transaction(cluster, transactional_id)
    if found is None:
        raise CommandError(f"no coordinator knows the transactional id '{transactional_id}'")
    node_id, state = found
    start_ms = state.transaction_start_time_ms
    begun = start_ms >= 0
    row = {
        "coordinator_id": node_id,
        "transactional_id": transactional_id,
        "producer_id": state.producer_id,
        "producer_epoch": state.producer_epoch,
        "transaction_state": state.transaction_state,
        "transaction_timeout_ms": state.transaction_timeout_ms,
        "current_transaction_start_time_ms": start_ms if begun else None,
        "transaction_duration_ms": _now_ms() - start_ms if begun else None,
        "topic_partitions": [
            f"{topic.topic}-{index}"
            for topic in sorted(state.topics, key=lambda one: one.topic)
            for index in sorted(topic.partitions)
        ],
    }
    _show(_DESCRIPTION, [row], as_json=json)


def describe_all_producers(
    bootstrap_server: BootstrapServer,
    topic: Topic,
    partition: PartitionIndex,
    broker_id: Annotated[
        int | None, typer.Option("--broker-id", metavar="ID", help="Ask this broker, no leader.")
    ] = None,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Describe the producers that a partition remembers."""
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        wanted = _partition(cluster, topic, partition)
        producers = describe_producers(cluster, [wanted], broker_id)[wanted.key]
    rows = [
        {
            "producer_id": one.producer_id,
            "producer_epoch": one.producer_epoch,
            "latest_coordinator_epoch": one.coordinator_epoch,
            "last_sequence": one.last_sequence,
            "last_timestamp": one.last_timestamp,
            "current_transaction_start_offset": (
                one.current_txn_start_offset if one.current_txn_start_offset >= 0 else None
            ),
        }
        for one in sorted(producers, key=lambda one: one.producer_id)
    ]
    _show(_PRODUCERS, rows, as_json=json)


def find_hanging(
    bootstrap_server: BootstrapServer,
    broker_id: Annotated[
        int | None,
        typer.Option("--broker-id", metavar="ID", help="Search what this broker holds."),
    ] = None,
    max_transaction_timeout: Annotated[
        int,
        typer.Option(
            "--max-transaction-timeout",
            metavar="MINUTES",
            min=0,
            help="Pass over what is open for less.",
        ),
    ] = 15,
    topic: Annotated[
        str | None, typer.Option("--topic", metavar="TOPIC", help="Search this topic.")
    ] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", metavar="N", min=0, help="Search this partition.")
    ] = None,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Find transactions that are open on a partition and that no coordinator will ever end."""
    if topic is None and broker_id is None:
        raise CallError("find-hanging wants --topic or --broker-id")
    if partition is not None and topic is None:
        raise CallError("--partition wants --topic")
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        if topic is not None and partition is not None:
            searched = [_partition(cluster, topic, partition)]
        else:
            searched = partitions_of(cluster, topic)
            if broker_id is not None:
                searched = [one for one in searched if broker_id in one.replica_ids]
        now_ms = _now_ms()
        found = hanging_transactions(
            cluster,
            searched,
            node_id=broker_id,
            begun_before_ms=now_ms - max_transaction_timeout * 60_000,
        )
    rows = [
        {
            "topic": one.key[0],
            "partition": one.key[1],
            "producer_id": one.producer.producer_id,
            "producer_epoch": one.producer.producer_epoch,
            "coordinator_epoch": one.producer.coordinator_epoch,
            "start_offset": one.producer.current_txn_start_offset,
            "last_timestamp": one.producer.last_timestamp,
            "duration_min": (now_ms - one.producer.last_timestamp) // 60_000,
        }
        for one in found
    ]
    _show(_HANGING, rows, as_json=json)


def abort(
    bootstrap_server: BootstrapServer,
    topic: Topic,
    partition: PartitionIndex,
    start_offset: Annotated[
        int | None,
        typer.Option("--start-offset", metavar="OFFSET", help="Where the transaction begins."),
    ] = None,
    producer_id: Annotated[
        int | None, typer.Option("--producer-id", metavar="ID", help="For Kafka before 3.0.")
    ] = None,
    producer_epoch: Annotated[
        int | None, typer.Option("--producer-epoch", metavar="N", help="For Kafka before 3.0.")
    ] = None,
    coordinator_epoch: Annotated[
        int | None, typer.Option("--coordinator-epoch", metavar="N", help="For Kafka before 3.0.")
    ] = None,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Abort a hanging transaction on one partition, whatever its coordinator knows of it."""
    given = None
    if producer_id is not None and producer_epoch is not None and coordinator_epoch is not None:
        given = _Producer(producer_id, producer_epoch, coordinator_epoch)
    if start_offset is None and given is None:
        raise CallError(
            "abort wants --start-offset, or --producer-id, --producer-epoch and --coordinator-epoch"
        )
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        wanted = _partition(cluster, topic, partition)
        producer = given if start_offset is None else _producer_at(cluster, wanted, start_offset)
        if producer is None:
            raise CommandError(
                f"no open transaction begins at offset {start_offset} of {topic}-{partition}"
            )
        abort_on_partition(
            cluster,
            wanted,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            # -1 where no coordinator has written yet; 0 is no higher than any there can be.
            coordinator_epoch=max(producer.coordinator_epoch, 0),
        )
    if json:
        row = {
            "topic": topic,
            "partition": partition,
            "producer_id": producer.producer_id,
            "aborted": True,
        }
        output.print_json([row])


def force_terminate(
    bootstrap_server: BootstrapServer,
    transactional_id: TransactionalId,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Fence the producer of a transactional id, and abort the transaction that it has open."""
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        producer_id, epoch = fence(cluster, transactional_id)
    if json:
        row = {
            "transactional_id": transactional_id,
            "producer_id": producer_id,
            "producer_epoch": epoch,
            "terminated": True,
        }
        output.print_json([row])


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_them,
    "describe": describe,
    "describe-producers": describe_all_producers,
    "find-hanging": find_hanging,
    "abort": abort,
    "force-terminate": force_terminate,
}
_KAFKAS_NAMES = {"forceTerminateTransaction": "force-terminate"}
_HELP_WORDS = ("--help", "-h", "help")


def run_transactions(words: Sequence[str]) -> int:
    """Runs the command that `words` name; gives its status. Raises `CommandError`."""
    before, name, after = _split(words)
    if not words or name in _HELP_WORDS or (not name and before[-1] in _HELP_WORDS):
        _print_commands()
        return 0 if words else CallError.status
    name = _KAFKAS_NAMES.get(name, name)
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise CallError(f"no command '{name}' of transactions; there are: {known}")
    status = call_with_words(COMMANDS[name], f"transactions {name}", [*before, *after])
    return status if isinstance(status, int) else 0


def _split(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """The options before the command, with their values; the command; what follows."""
    index = 0
    while index < len(words) and words[index].startswith("-"):
        takes_value = words[index] in ("--bootstrap-server", "--command-config")
        index += 2 if takes_value else 1
    return [*words[:index]], words[index] if index < len(words) else "", [*words[index + 1 :]]


def _partition(cluster: WireCluster, topic: str, index: int) -> Partition:
    for one in partitions_of(cluster, topic):
        if one.key == (topic, index):
            return one
    raise CommandError(f"topic '{topic}' has no partition {index}")


class _Producer(NamedTuple):
    """Who has written to a partition."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int


def _producer_at(cluster: WireCluster, partition: Partition, start_offset: int) -> _Producer | None:
    """Who began a transaction at that offset."""
    for one in describe_producers(cluster, [partition])[partition.key]:
        if one.current_txn_start_offset == start_offset:
            return _Producer(one.producer_id, one.producer_epoch, one.coordinator_epoch)
    return None


def _show(columns: Sequence[Column], rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        output.print_json(rows)
        return
    told = [{key: "None" if value is None else value for key, value in row.items()} for row in rows]
    output.print_table(columns, told)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _print_commands() -> None:
    print("Usage: kstore transactions COMMAND [OPTIONS]\n")
    print("See what producers have open, and end what hangs.\n\nCommands:")
    for name, function in COMMANDS.items():
        print(f"  {name:20}{function.__doc__}")
    print("\n`kstore transactions COMMAND --help` lists the options of a command.")
