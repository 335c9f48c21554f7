"""`kstore features describe`: Kafka's kafka-features (`FeatureCommand`), what it shows.

Changing features is not there: one node of one version has nothing to agree on.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kstore.cli import output
from kstore.cli.errors import CallError
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties
from kstore.cli.wire_cluster import WireCluster
from kstore.wire.messages.api_versions import ApiVersionsResponse

__all__ = ["feature_rows", "features"]

_METADATA_VERSION = "metadata.version"

# Kafka's names of the levels of metadata.version, from the first that KRaft was ready with.
_FIRST_LEVEL = 7
_LEVEL_NAMES = (
    *("3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2"),
    *("3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0"),
    *("4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1"),
    *("4.3-IV0", "4.4-IV0"),
)


def features(
    command: Annotated[str, typer.Argument(metavar="describe", help="Show the features.")],
    bootstrap_server: BootstrapServer,
    node_id: Annotated[
        int | None, typer.Option("--node-id", metavar="ID", help="The broker to ask.")
    ] = None,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Describe the features of a cluster and their levels."""
    if command != "describe":
        raise CallError(f"no command '{command}' of features; there is: describe")

    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        rows = feature_rows(cluster.broker(node_id).versions)
    if json:
        output.print_json(rows)
        return
    for row in rows:
        epoch = output.cell(row["epoch"])
        print(
            f"Feature: {row['feature']:40}  SupportedMinVersion: {row['min_version']:15}"
            f"  SupportedMaxVersion: {row['max_version']:15}"
            f"  FinalizedVersionLevel: {row['finalized']:15}  Epoch: {epoch}"
        )


def feature_rows(versions: ApiVersionsResponse) -> list[dict[str, Any]]:
    """One row for each supported feature, by name."""
    finalized = {one.name: one.max_version_level for one in versions.finalized_features}
    epoch = versions.finalized_features_epoch
    return [
        {
            "feature": one.name,
            "min_version": _level(one.name, one.min_version),
            "max_version": _level(one.name, one.max_version),
            "finalized": _level(one.name, finalized.get(one.name, 0)),
            "epoch": epoch if epoch >= 0 else None,
        }
        for one in sorted(versions.supported_features, key=lambda one: one.name)
    ]


def _level(feature: str, level: int) -> str:
    if feature != _METADATA_VERSION:
        return str(level)
    index = level - _FIRST_LEVEL
    return _LEVEL_NAMES[index] if 0 <= index < len(_LEVEL_NAMES) else f"UNKNOWN {level}"
