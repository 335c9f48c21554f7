"""ApiVersions (key 18): what this broker speaks.

- v0: the list. v1: throttle time. v2: answered before authentication. v3: flexible; the client
  tells its software (KIP-511) and the broker its features. v4: features with minimum 0 are told.

A version that we don't know is answered in version 0 with UNSUPPORTED_VERSION and the versions of
this API alone (`request` is None then). Only features that work are told as finalized.
"""

from __future__ import annotations

import re

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.features import FEATURES, finalized_level
from kstore.errors import ErrorCode
from kstore.wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from kstore.wire.versions import ADVERTISED, ApiKey

__all__ = ["API"]

SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
"""What Kafka takes for the name and the version of a client's software."""


def handle(request: ApiVersionsRequest | None, context: RequestContext) -> ApiVersionsResponse:
    if request is None:
        own = ADVERTISED[ApiKey.API_VERSIONS]
        return ApiVersionsResponse(
            error_code=ErrorCode.UNSUPPORTED_VERSION,
            api_keys=[
                ApiVersion(api_key=ApiKey.API_VERSIONS, min_version=own.min, max_version=own.max)
            ],
        )
    if context.api_version >= 3:
        name, version = request.client_software_name, request.client_software_version
        if not (SOFTWARE.fullmatch(name) and SOFTWARE.fullmatch(version)):
            return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    # Before v4 a minimum of 0 could not be read by some clients (KAFKA-17011).
    features = {
        name: feature
        for name, feature in FEATURES.items()
        if context.api_version >= 4 or feature.min > 0
    }
    image = context.broker.image
    return ApiVersionsResponse(
        api_keys=[
            ApiVersion(api_key=key, min_version=served.min, max_version=served.max)
            for key, served in sorted(ADVERTISED.items())
        ],
        supported_features=[
            SupportedFeatureKey(name=name, min_version=feature.min, max_version=feature.max)
            for name, feature in features.items()
        ],
        finalized_features_epoch=image.features_epoch,
        finalized_features=[
            FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
            for name in FEATURES
            if (level := finalized_level(image, name)) > 0
        ],
    )


API = Api(ApiKey.API_VERSIONS, handle)
