"""ListConfigResources (key 74): what bears configs: topics and brokers.

- v0: client metrics only (it was ListClientMetricsResources). v1: types as asked for, or all
  (KIP-1142).

There are no configs of client metrics and groups yet, so none are listed. Every broker is listed as
a bearer of loggers too, as in Kafka.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.config_changes import ResourceType
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.wire.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: ListConfigResourcesRequest, context: RequestContext
) -> ListConfigResourcesResponse:
    known = set(ResourceType) if context.api_version >= 1 else {ResourceType.CLIENT_METRICS}
    wanted = set(request.resource_types) or known
    if not wanted <= known:
        return ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    image = context.broker.image
    brokers = [str(node_id) for node_id in image.brokers]
    bearers = (
        (ResourceType.BROKER_LOGGER, brokers),
        (ResourceType.BROKER, brokers),
        (ResourceType.TOPIC, list(image.topics)),
    )
    return ListConfigResourcesResponse(
        config_resources=[
            ConfigResource(resource_name=name, resource_type=kind)
            for kind, names in bearers
            if kind in wanted
            for name in names
        ]
    )


API = Api(ApiKey.LIST_CONFIG_RESOURCES, handle)
