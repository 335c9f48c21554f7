"""DescribeConfigs (key 32): configs of topics and this broker, defaults of all brokers, log levels.

- v1: the oldest that is served, with sources and synonyms. v3: types and documentation.
  v4: flexible.

Every config that we know is told with its value, source, synonyms, type and, on request, our text
about it. Groups and client metrics have no configs here yet: an empty list is told of them.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.config_changes import ResourceType
from kstore.broker.context import RequestContext
from kstore.broker.loggers import levels
from kstore.configs import (
    ConfigEntry,
    ConfigSource,
    ConfigType,
    describe_broker_configs,
    describe_cluster_defaults,
    describe_topic_configs,
)
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.names import check_topic_name
from kstore.wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

TYPES = {
    ConfigType.BOOLEAN: 1,
    ConfigType.STRING: 2,
    ConfigType.INT: 3,
    ConfigType.SHORT: 4,
    ConfigType.LONG: 5,
    ConfigType.DOUBLE: 6,
    ConfigType.LIST: 7,
}
"""Kafka's DescribeConfigsResponse.ConfigType."""

_EMPTY_NAME: dict[int, str] = {
    ResourceType.GROUP: "Group name must not be empty",
    ResourceType.CLIENT_METRICS: "Client metrics subscription name must not be empty",
}


def handle(request: DescribeConfigsRequest, context: RequestContext) -> DescribeConfigsResponse:
    return DescribeConfigsResponse(
        results=[_describe(resource, request, context) for resource in request.resources]
    )


def _describe(
    resource: DescribeConfigsResource, request: DescribeConfigsRequest, context: RequestContext
) -> DescribeConfigsResult:
    result = DescribeConfigsResult(
        resource_type=resource.resource_type, resource_name=resource.resource_name
    )
    keys = resource.configuration_keys
    try:
        if resource.resource_type == ResourceType.BROKER_LOGGER:
            result.configs = _levels(resource.resource_name, keys, context)
        else:
            entries = _entries(resource, context)
            result.configs = [
                _told(entry, request) for entry in entries if not keys or entry.name in keys
            ]
    except KafkaError as error:
        result.error_code = error.code
        result.error_message = error.message
    return result


def _entries(resource: DescribeConfigsResource, context: RequestContext) -> list[ConfigEntry]:
    settings = context.broker.settings
    name = resource.resource_name
    if resource.resource_type == ResourceType.TOPIC:
        check_topic_name(name)
        topic = context.broker.image.topics.get(name)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return describe_topic_configs(settings, topic.configs)
    if resource.resource_type == ResourceType.BROKER:
        if not name:
            return describe_cluster_defaults(settings)
        node_id = context.broker.node_id
        if _broker_id(name) != node_id:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"Unexpected broker id, expected {node_id} or empty string, but received {name}",
            )
        return describe_broker_configs(settings)
    if resource.resource_type in _EMPTY_NAME:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, _EMPTY_NAME[resource.resource_type])
        return []
    raise KafkaError(
        ErrorCode.INVALID_REQUEST, f"Unsupported resource type: {resource.resource_type}"
    )


def _levels(
    name: str, keys: list[str] | None, context: RequestContext
) -> list[DescribeConfigsResourceResult]:
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Broker id must not be empty")
    node_id = context.broker.node_id
    if _broker_id(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id} but received {name}",
        )
    return [
        DescribeConfigsResourceResult(
            name=logger, value=level, config_source=ConfigSource.DYNAMIC_BROKER_LOGGER
        )
        for logger, level in levels().items()
        if not keys or logger in keys
    ]


def _broker_id(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}"
        ) from None


def _told(entry: ConfigEntry, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    told = DescribeConfigsResourceResult(
        name=entry.name,
        value=entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        config_type=TYPES[entry.config.type],
    )
    if request.include_synonyms:
        told.synonyms = [
            DescribeConfigsSynonym(name=one.name, value=one.value, source=one.source)
            for one in entry.synonyms
        ]
    if request.include_documentation:
        told.documentation = entry.config.doc
    return told


API = Api(ApiKey.DESCRIBE_CONFIGS, handle)
