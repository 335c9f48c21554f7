"""`kstore configs`: Kafka's kafka-configs (`ConfigCommand`), for topics, brokers and their like.

Flags and texts are Kafka's. Not there: users, clients and ips, and `--bootstrap-controller`. An
entity that is not there is an error here, one line and status 1, where Kafka's tool says so on
stdout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kstore.cli.config_words import parse_added, parse_deleted
from kstore.cli.errors import CallError
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties

__all__ = ["configs"]

_TYPES = ("topics", "brokers", "broker-loggers", "client-metrics", "groups")
_BY_BROKER_ID = ("brokers", "broker-loggers")


def configs(
    bootstrap_server: BootstrapServer,
    describe: Annotated[bool, typer.Option("--describe", help="Show configs.")] = False,
    alter: Annotated[bool, typer.Option("--alter", help="Change configs.")] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Show all configs, not only those that were set.")
    ] = False,
    entity_type: Annotated[
        str | None, typer.Option("--entity-type", metavar="|".join(_TYPES), help="Whose configs.")
    ] = None,
    entity_name: Annotated[
        str | None, typer.Option("--entity-name", metavar="NAME", help="Topic, broker id, group.")
    ] = None,
    entity_default: Annotated[
        bool, typer.Option("--entity-default", help="The default of all brokers.")
    ] = False,
    topic: Annotated[str | None, typer.Option("--topic", help="The topic.")] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="The id of the broker.")] = None,
    broker_logger: Annotated[
        str | None,
        typer.Option("--broker-logger", help="The id of the broker, for its log levels."),
    ] = None,
    client_metrics: Annotated[
        str | None, typer.Option("--client-metrics", help="The name of the subscription.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="The group.")] = None,
    broker_defaults: Annotated[
        bool, typer.Option("--broker-defaults", help="The default of all brokers.")
    ] = False,
    add_config: Annotated[
        str | None,
        typer.Option("--add-config", metavar="K=V,K=[V,V]", help="Configs to set, with commas."),
    ] = None,
    add_config_file: Annotated[
        Path | None,
        typer.Option("--add-config-file", metavar="FILE", help="Properties file with such."),
    ] = None,
    delete_config: Annotated[
        list[str] | None,
        typer.Option("--delete-config", metavar="K,K", help="Configs to reset, with commas."),
    ] = None,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Show or change configs of topics and brokers, and levels of loggers."""
    if describe == alter:
        raise CallError("want exactly one of --describe and --alter")
    by_entity = (entity_type, "" if entity_default else entity_name)
    kind, name = _entity(
        [by_entity] if by_entity != (None, None) else [],
        [("topics", topic)] if topic is not None else [],
        [("brokers", broker)] if broker is not None else [],
        [("broker-loggers", broker_logger)] if broker_logger is not None else [],
        [("client-metrics", client_metrics)] if client_metrics is not None else [],
        [("groups", group)] if group is not None else [],
        [("brokers", "")] if broker_defaults else [],
    )
    if entity_default and (entity_name is not None or kind != "brokers"):
        raise CallError("--entity-default is for --entity-type brokers, without --entity-name")
    adding = add_config is not None or add_config_file is not None
    if alter:
        _check_alter(kind, name, adding=adding, deleting=bool(delete_config), everything=all_)
    elif adding or delete_config:
        raise CallError("--describe can't be used with what --alter changes")
    elif kind == "broker-loggers" and not name:
        raise CallError("--describe of broker-loggers needs a broker's id")
    if add_config is not None and add_config_file is not None:
        raise CallError("want only one of --add-config and --add-config-file")
    added = parse_added(add_config) if add_config is not None else read_properties(add_config_file)
    deleted = parse_deleted(delete_config or ())

    from kstore.cli.config_entities import Entity, alter_configs, describe_configs
    from kstore.cli.wire_cluster import WireCluster

    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        if alter:
            alter_configs(cluster, Entity(kind, name or ""), added, deleted, as_json=json)
        else:
            describe_configs(cluster, kind, name, everything=all_, as_json=json)


def _entity(*given: list[tuple[str | None, str | None]]) -> tuple[str, str | None]:
    """The type and name that the options give in one of their ways; the name may be missing."""
    chosen = [one for way in given for one in way]
    if len(chosen) != 1:
        raise CallError(
            "want exactly one of --entity-type, --topic, --broker, --broker-logger, "
            "--client-metrics, --group and --broker-defaults"
        )
    kind, name = chosen[0]
    if kind not in _TYPES:
        raise CallError(f"no entity type '{kind or ''}' here; there are: {', '.join(_TYPES)}")
    if kind in _BY_BROKER_ID and name and not name.isdecimal():
        raise CallError(f"the entity name for {kind} must be a broker's id, not '{name}'")
    return kind, name


def _check_alter(
    kind: str, name: str | None, *, adding: bool, deleting: bool, everything: bool
) -> None:
    if everything:
        raise CallError("--all can't be used with --alter")
    if name is None or (not name and kind != "brokers"):
        raise CallError(f"--alter of {kind} needs an entity's name")
    if not adding and not deleting:
        raise CallError("--alter needs --add-config, --add-config-file or --delete-config")
