"""`kstore consumer-groups --delete` and `--delete-offsets`.

confluent-kafka knows no OffsetDelete, so that goes over `kstore.cli.wire_client` to the group's
coordinator.
"""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import KafkaException

from kstore.cli import output
from kstore.cli.clients import Cluster, explain
from kstore.cli.errors import CommandError, report
from kstore.cli.group_description import list_groups
from kstore.cli.group_options import GroupOptions
from kstore.cli.offset_reset import partitions_of
from kstore.cli.output import Column
from kstore.cli.wire_client import WireClient, check_error, error_name
from kstore.errors import ErrorCode
from kstore.wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from kstore.wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)

__all__ = ["delete_groups", "delete_offsets"]

_COLUMNS = (
    Column("topic", "TOPIC", 15),
    Column("partition", "PARTITION", 10),
    Column("status", "STATUS"),
)


def delete_groups(cluster: Cluster, options: GroupOptions) -> int:
    """Deletes the groups; gives the status, 1 if one of them could not be deleted."""
    names = sorted(set(options.groups))
    if options.all_groups:
        names = [str(row["group"]) for row in list_groups(cluster)]
    if not names:
        return 0
    futures = cluster.admin.delete_consumer_groups(names, request_timeout=cluster.timeout_s)
    deleted, failed = [], []
    for name in names:
        try:
            cluster.outcome(futures[name])
            deleted.append(name)
        except KafkaException as error:
            report(f"group '{name}' could not be deleted: {explain(error.args[0])}")
            failed.append(name)
    quoted = ", ".join(f"'{name}'" for name in deleted)
    if options.as_json:
        output.print_json({"group": name, "deleted": name in deleted} for name in names)
    elif not failed:
        print(f"Deletion of requested consumer groups ({quoted}) was successful.")
    elif deleted:
        print(f"These consumer groups were deleted successfully: {quoted}")
    return 1 if failed else 0


def delete_offsets(cluster: Cluster, options: GroupOptions) -> int:
    """Deletes a group's offsets of topics; gives the status, 1 if some could not be deleted."""
    (group,) = options.groups
    wanted = sorted(partitions_of(cluster, options.topics))
    errors = _delete_offsets(cluster, group, wanted)
    rows = []
    for topic, partition in wanted:
        code = errors.get((topic, partition), ErrorCode.UNKNOWN_SERVER_ERROR)
        status = "Successful" if code == ErrorCode.NONE else f"Error: {error_name(code)}"
        rows.append({"topic": topic, "partition": partition, "status": status})
    failed = any(row["status"] != "Successful" for row in rows)
    if options.as_json:
        output.print_json(rows)
    else:
        if not failed:
            print(f"Request succeeded for deleting offsets from group {group}.")
        print()
        output.print_table(_COLUMNS, rows)
    return 1 if failed else 0


def _delete_offsets(
    cluster: Cluster, group: str, wanted: Collection[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """The error code of each partition. Raises `CommandError` if the group can't be asked."""
    by_topic: dict[str, list[OffsetDeleteRequestPartition]] = {}
    for topic, partition in wanted:
        one = OffsetDeleteRequestPartition(partition_index=partition)
        by_topic.setdefault(topic, []).append(one)
    topics = [
        OffsetDeleteRequestTopic(name=topic, partitions=partitions)
        for topic, partitions in by_topic.items()
    ]
    request = OffsetDeleteRequest(group_id=group, topics=topics)
    with _coordinator(cluster, group) as client:
        answer = client.ask(request, OffsetDeleteResponse)
    check_error(answer.error_code, f"group '{group}'")
    return {
        (topic.name, one.partition_index): one.error_code
        for topic in answer.topics
        for one in topic.partitions
    }


def _coordinator(cluster: Cluster, group: str) -> WireClient:
    """A connection to the broker that coordinates a group."""
    with WireClient.connect(
        cluster.servers, cluster.settings, timeout_s=cluster.timeout_s
    ) as client:
        # Several keys are asked for since Kafka 3.0 (version 4).
        answer = client.ask(
            FindCoordinatorRequest(coordinator_keys=[group]), FindCoordinatorResponse
        )
    if not answer.coordinators:
        raise CommandError(f"no answer about the coordinator of group '{group}'")
    found = answer.coordinators[0]
    check_error(found.error_code, f"the coordinator of group '{group}'", found.error_message)
    return WireClient(found.host, found.port, timeout_s=cluster.timeout_s)
