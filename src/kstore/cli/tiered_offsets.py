"""The offsets that ListOffsets knows of tiered storage, as `kstore get-offsets` asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kstore.cli.errors import report
from kstore.cli.wire_client import error_name
from kstore.cli.wire_cluster import WireCluster
from kstore.errors import ErrorCode
from kstore.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

__all__ = ["tiered_offsets"]

_CONSUMER = -1  # the replica id of a client


def tiered_offsets(
    servers: str, settings: Mapping[str, str], chosen: Sequence[tuple[str, int]], time_ms: int
) -> list[dict[str, Any]]:
    """A row for each partition that has such an offset, in the order given; asks the leaders."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    with WireCluster(servers, settings) as cluster:
        leaders = {
            (topic.name, one.partition_index): one.leader_id
            for topic in cluster.metadata(topics=True).topics
            for one in topic.partitions
        }
        by_leader: dict[int, dict[str, list[ListOffsetsPartition]]] = {}
        for topic, partition in chosen:
            leader = leaders.get((topic, partition), -1)
            asked = ListOffsetsPartition(partition_index=partition, timestamp=time_ms)
            by_leader.setdefault(leader, {}).setdefault(topic, []).append(asked)
        by_leader.pop(-1, None)
        for leader, topics in by_leader.items():
            request = ListOffsetsRequest(
                replica_id=_CONSUMER,
                topics=[ListOffsetsTopic(name=name, partitions=p) for name, p in topics.items()],
            )
            answer = cluster.ask(request, ListOffsetsResponse, node_id=leader)
            found |= {
                (topic.name, one.partition_index): (one.error_code, one.offset)
                for topic in answer.topics
                for one in topic.partitions
            }
    rows = []
    for topic, partition in chosen:
        code, offset = found.get((topic, partition), (ErrorCode.LEADER_NOT_AVAILABLE, -1))
        if code != ErrorCode.NONE:
            report(f"{topic}-{partition}: {error_name(code)}")
        elif offset >= 0:
            rows.append({"topic": topic, "partition": partition, "offset": offset})
    return rows
