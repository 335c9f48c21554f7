"""`kstore delete-records`: Kafka's kafka-delete-records (`DeleteRecordsCommand`).

The file says what is the first offset to stay in each partition; -1 is the high watermark:
`{"version": 1, "partitions": [{"topic": "t", "partition": 0, "offset": 5}]}`.
"""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from kstore.cli import output
from kstore.cli.errors import CallError
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties

__all__ = ["delete_records", "parse_offsets"]

_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


def delete_records(
    bootstrap_server: BootstrapServer,
    offset_json_file: Annotated[
        Path,
        typer.Option("--offset-json-file", metavar="FILE", help="What to delete, as JSON."),
    ],
    command_config: CommandConfig = None,
    json: Json = False,
) -> int:
    """Delete the records below an offset of each partition that a file names."""
    try:
        offsets = parse_offsets(offset_json_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, CallError) as error:
        raise CallError(f"{offset_json_file}: {error}") from None

    from confluent_kafka import KafkaException, TopicPartition

    from kstore.cli.clients import Cluster, explain

    cluster = Cluster(bootstrap_server, read_properties(command_config))
    asked = [TopicPartition(*key, offset) for key, offset in offsets.items()]
    futures = cluster.admin.delete_records(asked, request_timeout=cluster.timeout_s)
    rows = []
    for one, future in futures.items():
        row = {"topic": one.topic, "partition": one.partition, "low_watermark": None, "error": None}
        try:
            row["low_watermark"] = cluster.outcome(future).low_watermark
        except KafkaException as error:
            row["error"] = explain(error.args[0])
        rows.append(row)
    if json:
        output.print_json(rows)
    else:
        print("Executing records delete operation\nRecords delete operation completed:")
        for row in rows:
            facts = f"low_watermark: {row['low_watermark']}"
            if row["error"] is not None:
                facts = f"error: {row['error']}"
            print(f"partition: {row['topic']}-{row['partition']}\t{facts}")
    return 1 if any(row["error"] is not None for row in rows) else 0


def parse_offsets(text: str) -> dict[tuple[str, int], int]:
    """The offset of each partition. Raises `CallError`."""
    try:
        document = json_text.loads(text)
    except (ValueError, RecursionError) as error:
        raise CallError(f"not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("partitions"), list):
        raise CallError('want {"version": 1, "partitions": [...]}')
    if document.get("version", 1) != 1:
        raise CallError(f"version {document['version']} is not known, only 1")
    offsets: dict[tuple[str, int], int] = {}
    for one in document["partitions"]:
        match one:
            case {"topic": str(topic), "partition": int(partition), "offset": int(offset)}:
                if not 0 <= partition <= _INT32_MAX or not -1 <= offset <= _INT64_MAX:
                    raise CallError(f"{topic}-{partition} at {offset} is out of range")
                if (topic, partition) in offsets:
                    raise CallError(f"{topic}-{partition} is named twice")
                offsets[(topic, partition)] = offset
            case _:
                raise CallError(f"want topic, partition and offset, not {one}")
    return offsets
