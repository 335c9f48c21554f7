"""DescribeConfigs (key 32): the configs of topics, of this broker, and the defaults of all brokers.

- v1: the oldest that is served, with sources and synonyms. v3: types and documentation.
  v4: flexible.

Every config that we know is told with its value, source, synonyms, type and, on request, our text
about it. Left out: loggers, client metrics and groups as resources, which have no configs here yet.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.config_changes import ResourceType
from kstore.broker.context import RequestContext
from kstore.configs import (
    ConfigEntry,
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
    try:
        entries = _entries(resource, context)
    except KafkaError as error:
        result.error_code = error.code
        result.error_message = error.message
        return result
    keys = resource.configuration_keys
    result.configs = [_told(entry, request) for entry in entries if not keys or entry.name in keys]
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
    raise KafkaError(
        ErrorCode.INVALID_REQUEST, f"Unsupported resource type: {resource.resource_type}"
    )


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
