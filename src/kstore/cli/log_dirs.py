"""`kstore log-dirs --describe`: Kafka's kafka-log-dirs (`LogDirsCommand`).

It prints Kafka's JSON document. A directory that failed is named with Kafka's error code, where
Kafka's tool names a Java class.
"""

from __future__ import annotations

import json as json_text
from typing import Annotated, Any

import typer

from kstore.cli import output
from kstore.cli.errors import CallError, CommandError
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties
from kstore.cli.wire_client import check_error, error_name
from kstore.cli.wire_cluster import WireCluster
from kstore.errors import ErrorCode
from kstore.wire.messages.describe_log_dirs import (
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
)

__all__ = ["log_dirs"]

Row = dict[str, Any]


def log_dirs(
    bootstrap_server: BootstrapServer,
    describe: Annotated[bool, typer.Option("--describe", help="Describe directories.")] = False,
    broker_list: Annotated[
        str, typer.Option("--broker-list", metavar="0,1,...", help="Only these brokers.")
    ] = "",
    topic_list: Annotated[
        str, typer.Option("--topic-list", metavar="TOPIC,...", help="Only these topics.")
    ] = "",
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Show the brokers' data directories, and what each partition takes there."""
    if not describe:
        raise CallError("want --describe")
    try:
        wanted = [int(word) for word in broker_list.split(",") if word]
    except ValueError:
        raise CallError(f"--broker-list {broker_list}: want broker ids like 0,1") from None
    topics = {word for word in topic_list.split(",") if word}

    found = {}
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        missing = [node_id for node_id in wanted if node_id not in cluster.brokers]
        if missing:
            there = output.cell([*cluster.brokers])
            raise CommandError(f"there is no broker {output.cell(missing)}; there are: {there}")
        for node_id in wanted or cluster.brokers:
            answer = cluster.ask(
                DescribeLogDirsRequest(topics=None), DescribeLogDirsResponse, node_id=node_id
            )
            check_error(answer.error_code, f"broker {node_id}")
            found[node_id] = answer.results
    if json:
        output.print_json(row for node, dirs in found.items() for row in _rows(node, dirs, topics))
        return
    brokers = [
        {"broker": node, "logDirs": [_log_dir(one, topics) for one in dirs]}
        for node, dirs in found.items()
    ]
    print("Querying brokers for log directories information")
    print(f"Received log directory information from brokers {output.cell([*found])}")
    print(json_text.dumps({"version": 1, "brokers": brokers}, separators=(",", ":")))


def _partitions(log_dir: DescribeLogDirsResult, topics: set[str]) -> list[Row]:
    return [
        {
            "partition": f"{topic.name}-{one.partition_index}",
            "size": one.partition_size,
            "offsetLag": one.offset_lag,
            "isFuture": one.is_future_key,
        }
        for topic in sorted(log_dir.topics, key=lambda topic: topic.name)
        if not topics or topic.name in topics
        for one in sorted(topic.partitions, key=lambda one: one.partition_index)
    ]


def _error(log_dir: DescribeLogDirsResult) -> str | None:
    code = log_dir.error_code
    return None if code == ErrorCode.NONE else error_name(code)


def _log_dir(log_dir: DescribeLogDirsResult, topics: set[str]) -> Row:
    return {
        "logDir": log_dir.log_dir,
        "error": _error(log_dir),
        "partitions": _partitions(log_dir, topics),
    }


def _rows(node_id: int, dirs: list[DescribeLogDirsResult], topics: set[str]) -> list[Row]:
    return [
        {
            "broker": node_id,
            "log_dir": one.log_dir,
            "error": _error(one),
            "partition": partition["partition"],
            "size": partition["size"],
            "offset_lag": partition["offsetLag"],
            "is_future": partition["isFuture"],
        }
        for one in dirs
        for partition in _partitions(one, topics)
    ]
