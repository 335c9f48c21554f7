"""What a cluster says of the configs of its topics, brokers and the like, and how they are changed.

Over `kstore.cli.wire_client`: confluent-kafka drops all but one of a config's synonyms of one name,
and knows no default of all brokers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kstore.cli import output
from kstore.cli.errors import CommandError
from kstore.cli.wire_client import check_error
from kstore.cli.wire_cluster import WireCluster
from kstore.wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
)
from kstore.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from kstore.wire.messages.list_config_resources import (
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)
from kstore.wire.messages.list_groups import ListGroupsRequest, ListGroupsResponse

__all__ = ["Entity", "alter_configs", "describe_configs"]

# ConfigResource.Type, and the sources of configs (ConfigEntry.ConfigSource) by their numbers.
_RESOURCE_TYPES = {
    "topics": 2,
    "brokers": 4,
    "broker-loggers": 8,
    "client-metrics": 16,
    "groups": 32,
}
_OWN_SOURCES = {
    "topics": "DYNAMIC_TOPIC_CONFIG",
    "broker-loggers": "DYNAMIC_BROKER_LOGGER_CONFIG",
    "client-metrics": "DYNAMIC_CLIENT_METRICS_CONFIG",
    "groups": "DYNAMIC_GROUP_CONFIG",
}
_SOURCES = {
    1: "DYNAMIC_TOPIC_CONFIG",
    2: "DYNAMIC_BROKER_CONFIG",
    3: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    4: "STATIC_BROKER_CONFIG",
    5: "DEFAULT_CONFIG",
    6: "DYNAMIC_BROKER_LOGGER_CONFIG",
    7: "DYNAMIC_CLIENT_METRICS_CONFIG",
    8: "DYNAMIC_GROUP_CONFIG",
}

_SET, _DELETE = 0, 1


class Entity(NamedTuple):
    """A topic, a broker or the like; an empty name is the default of all brokers."""

    type: str
    name: str

    @property
    def kind(self) -> str:
        """`topic`, `broker` and so on."""
        return self.type[:-1]

    @property
    def title(self) -> str:
        """What it is called in an error."""
        return f"{self.kind} {self.name}" if self.name else f"default of {self.type}"

    @property
    def node_id(self) -> int | None:
        """The broker that must be asked; `None` for any."""
        return int(self.name) if self.type.startswith("broker") and self.name else None

    def owns(self, config: DescribeConfigsResourceResult) -> bool:
        """Whether the config was set for this entity."""
        of_broker = "DYNAMIC_BROKER_CONFIG" if self.name else "DYNAMIC_DEFAULT_BROKER_CONFIG"
        own = _OWN_SOURCES.get(self.type, of_broker)
        return _source(config.config_source) == own


def describe_configs(
    cluster: WireCluster, kind: str, name: str | None, *, everything: bool, as_json: bool
) -> None:
    """Prints the configs of an entity, or of all of its type. Raises `CommandError`."""
    entities = _entities(cluster, kind, name)
    configs_of = _configs(cluster, entities)
    found = [
        (entity, [one for one in configs_of[entity] if everything or entity.owns(one)])
        for entity in entities
    ]
    if as_json:
        output.print_json(row for entity, configs in found for row in _rows(entity, configs))
        return
    for entity, configs in found:
        if entity.name:
            which = "All" if everything else "Dynamic"
            print(f"{which} configs for {entity.kind} {entity.name} are:")
        else:
            print(f"Default configs for {entity.type} in the cluster are:")
        for one in configs:
            synonyms = ", ".join(
                f"{_source(synonym.source)}:{synonym.name}={_value(synonym.value)}"
                for synonym in one.synonyms
            )
            sensitive = str(one.is_sensitive).lower()
            print(f"  {one.name}={_value(one.value)} sensitive={sensitive} synonyms={{{synonyms}}}")


def _entities(cluster: WireCluster, kind: str, name: str | None) -> list[Entity]:
    """The entities that are meant, all of them there."""
    if kind == "topics":
        names = sorted(topic.name or "" for topic in cluster.metadata(topics=True).topics)
    elif kind == "brokers":
        names = [*map(str, cluster.brokers), ""]
    elif kind == "broker-loggers":
        names = [*map(str, cluster.brokers)]
    else:
        names = sorted(_listed(cluster, kind))
    if name is not None and name not in names:
        raise CommandError(f"the {kind[:-1]} '{name}' does not exist")
    return [Entity(kind, one) for one in names if name is None or one == name]


def _listed(cluster: WireCluster, kind: str) -> set[str]:
    """Those that have configs of this type, and all groups if it is theirs."""
    request = ListConfigResourcesRequest(resource_types=[_RESOURCE_TYPES[kind]])
    answer = cluster.ask(request, ListConfigResourcesResponse)
    check_error(answer.error_code, kind)
    names = {resource.resource_name for resource in answer.config_resources}
    if kind == "groups":
        for node_id in cluster.brokers:
            groups = cluster.ask(ListGroupsRequest(), ListGroupsResponse, node_id=node_id)
            check_error(groups.error_code, kind)
            names |= {group.group_id for group in groups.groups}
    return names


def _configs(
    cluster: WireCluster, entities: Sequence[Entity]
) -> dict[Entity, list[DescribeConfigsResourceResult]]:
    """All configs of each entity, by name; one question for each broker that must be asked."""
    by_node: dict[int | None, list[Entity]] = {}
    for entity in entities:
        by_node.setdefault(entity.node_id, []).append(entity)
    found = {}
    for node_id, asked in by_node.items():
        resources = [
            DescribeConfigsResource(
                resource_type=_RESOURCE_TYPES[entity.type],
                resource_name=entity.name,
                configuration_keys=None,
            )
            for entity in asked
        ]
        request = DescribeConfigsRequest(resources=resources, include_synonyms=True)
        answer = cluster.ask(request, DescribeConfigsResponse, node_id=node_id)
        results = {result.resource_name: result for result in answer.results}
        for entity in asked:
            result = results.get(entity.name)
            if result is None:
                raise CommandError(f"{entity.title}: the broker said nothing of it")
            check_error(result.error_code, entity.title, result.error_message)
            found[entity] = sorted(result.configs, key=lambda one: one.name)
    return found


def _source(number: int) -> str:
    return _SOURCES.get(number, "UNKNOWN")


def _value(value: str | None) -> str:
    return "null" if value is None else value


def _rows(
    entity: Entity, configs: Sequence[DescribeConfigsResourceResult]
) -> Iterator[dict[str, Any]]:
    for one in configs:
        yield {
            "entity_type": entity.type,
            "entity_name": entity.name or None,
            "name": one.name,
            "value": one.value,
            "source": _source(one.config_source),
            "read_only": one.read_only,
            "sensitive": one.is_sensitive,
            "synonyms": [
                {
                    "source": _source(synonym.source),
                    "name": synonym.name,
                    "value": synonym.value,
                }
                for synonym in one.synonyms
            ],
        }


def alter_configs(
    cluster: WireCluster,
    entity: Entity,
    added: Mapping[str, str],
    deleted: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Sets some configs of an entity and resets others, all or none. Raises `CommandError`."""
    changes = [AlterableConfig(name=name, config_operation=_DELETE, value="") for name in deleted]
    changes += [
        AlterableConfig(name=name, config_operation=_SET, value=value)
        for name, value in added.items()
    ]
    resource = AlterConfigsResource(
        resource_type=_RESOURCE_TYPES[entity.type], resource_name=entity.name, configs=changes
    )
    request = IncrementalAlterConfigsRequest(resources=[resource])
    answer = cluster.ask(request, IncrementalAlterConfigsResponse, node_id=entity.node_id)
    for result in answer.responses:
        check_error(result.error_code, entity.title, result.error_message)
    if as_json:
        output.print_json(
            [{"entity_type": entity.type, "entity_name": entity.name or None, "altered": True}]
        )
    elif entity.name:
        print(f"Completed updating config for {entity.kind} {entity.name}.")
    else:
        print(f"Completed updating default config for {entity.type} in the cluster.")
