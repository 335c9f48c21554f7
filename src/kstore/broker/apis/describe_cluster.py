"""DescribeCluster (key 60): the cluster's id, its controller and its brokers.

- v0: the oldest. v1: brokers or controllers may be asked for (KIP-919). v2: fenced brokers on
  request (KIP-1073).

This is an endpoint of brokers: controllers are to be asked elsewhere, as with Kafka's brokers. No
broker is ever fenced here.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.authorized_operations import ALL_CLUSTER_OPERATIONS
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

BROKERS = 1
CONTROLLERS = 2
"""Kafka's EndpointType."""


def handle(request: DescribeClusterRequest, context: RequestContext) -> DescribeClusterResponse:
    if request.endpoint_type == CONTROLLERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            error_message="The request was sent to an endpoint of type BROKER, but we wanted an "
            "endpoint of type CONTROLLER",
        )
    if request.endpoint_type != BROKERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"Unsupported endpoint type {request.endpoint_type}",
        )
    image = context.broker.image
    response = DescribeClusterResponse(
        cluster_id=image.cluster_id,
        controller_id=image.controller_id,
        brokers=[
            DescribeClusterBroker(
                broker_id=broker.node_id, host=broker.host, port=broker.port, rack=broker.rack
            )
            for broker in image.brokers.values()
        ],
    )
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = ALL_CLUSTER_OPERATIONS
    return response


API = Api(ApiKey.DESCRIBE_CLUSTER, handle)
