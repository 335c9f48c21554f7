"""AlterConfigs (key 33): a resource's configs are to be exactly these.

- v0: the oldest. v1: nothing new. v2: flexible.

The older way, which Kafka replaced by IncrementalAlterConfigs: what is not named is deleted. The
same resources, checks and effects as there.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.config_changes import ResourceType, change_configs, check_entries
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.configs import ConfigChange
from kstore.runtime import Later
from kstore.wire.messages.alter_configs import (
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: AlterConfigsRequest, context: RequestContext) -> Later[AlterConfigsResponse]:
    def respond(errors: list[KafkaError | None]) -> AlterConfigsResponse:
        return AlterConfigsResponse(
            responses=[
                _answer(resource, error)
                for resource, error in zip(request.resources, errors, strict=True)
            ]
        )

    return change_configs(
        context.broker, request.resources, _change, validate_only=request.validate_only
    ).map(respond)


def _change(resource: AlterConfigsResource) -> ConfigChange:
    configs = resource.configs
    check_entries(configs, [config.name for config in configs if config.value is None])
    return ConfigChange(
        resource.resource_type == ResourceType.TOPIC,
        resource.resource_name,
        replacement={config.name: config.value or "" for config in configs},
    )


def _answer(
    resource: AlterConfigsResource, error: KafkaError | None
) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if error is None else error.code,
        error_message=None if error is None else error.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


API = Api(ApiKey.ALTER_CONFIGS, handle)
