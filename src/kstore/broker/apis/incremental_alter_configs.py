"""IncrementalAlterConfigs (key 44): set, delete, append to and subtract from single configs.

- v0: the oldest. v1: flexible.

Topics, this broker, and the defaults of all brokers (a broker without a name). A change is checked,
stored and in force when it is answered; of a resource all configs are changed or none.

Also the levels of this broker's loggers, in force until it ends. Groups and client metrics have no
configs here yet: any name is unknown. A broker config that nothing here reads is refused as a
read-only one; Kafka keeps such names for plugins.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.config_changes import ResourceType, change_configs, check_entries
from kstore.broker.context import RequestContext
from kstore.configs import ConfigOperation, ConfigOperationType
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.configs import ConfigChange
from kstore.runtime import Later
from kstore.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: IncrementalAlterConfigsRequest, context: RequestContext
) -> Later[IncrementalAlterConfigsResponse]:
    def respond(errors: list[KafkaError | None]) -> IncrementalAlterConfigsResponse:
        return IncrementalAlterConfigsResponse(
            responses=[
                _answer(resource, error)
                for resource, error in zip(request.resources, errors, strict=True)
            ]
        )

    return change_configs(
        context.broker,
        request.resources,
        _change,
        validate_only=request.validate_only,
        with_loggers=True,
    ).map(respond)


def _change(resource: AlterConfigsResource) -> ConfigChange:
    configs = resource.configs
    check_entries(
        configs,
        [
            config.name
            for config in configs
            if config.value is None and config.config_operation != ConfigOperationType.DELETE
        ],
    )
    return ConfigChange(
        resource.resource_type == ResourceType.TOPIC,
        resource.resource_name,
        operations=[_operation(config) for config in configs],
    )


def _operation(config: AlterableConfig) -> ConfigOperation:
    try:
        kind = ConfigOperationType(config.config_operation)
    except ValueError:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unknown operations type {config.config_operation}"
        ) from None
    return ConfigOperation(config.name, kind, config.value or "")


def _answer(
    resource: AlterConfigsResource, error: KafkaError | None
) -> AlterConfigsResourceResponse:
    return AlterConfigsResourceResponse(
        error_code=ErrorCode.NONE if error is None else error.code,
        error_message=None if error is None else error.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


API = Api(ApiKey.INCREMENTAL_ALTER_CONFIGS, handle)
