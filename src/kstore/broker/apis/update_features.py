"""UpdateFeatures (key 57): finalize other levels of the cluster's features (KIP-584).

- v0: the oldest. v1: the kind of an update instead of a switch for downgrades, and validation
  alone. v2: no results by feature.

What can be set is `transaction.version`; any other feature is at the one level that this broker
works at (`broker/features.py`): asking for that changes nothing and is fine, any other is refused,
for all features of the request as in Kafka.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.features import FEATURES, finalized_level
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import MetadataImage
from kstore.runtime import Later
from kstore.wire.messages.update_features import (
    FeatureUpdateKey,
    UpdatableFeatureResult,
    UpdateFeaturesRequest,
    UpdateFeaturesResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

UPGRADE = 1
DOWNGRADES = (2, 3)
"""Kafka's FeatureUpdate.UpgradeType: safe and unsafe."""


def handle(
    request: UpdateFeaturesRequest, context: RequestContext
) -> UpdateFeaturesResponse | Later[UpdateFeaturesResponse]:
    image = context.broker.image
    for update in request.feature_updates:
        reason = _fault(update, image)
        if reason:
            return UpdateFeaturesResponse(
                error_code=ErrorCode.INVALID_UPDATE_VERSION,
                error_message="The update failed for all features since the following feature had "
                f"an error: Invalid update version {update.max_version_level} for feature "
                f"{update.feature}. {reason}",
            )
    response = UpdateFeaturesResponse(error_message=None)
    if context.api_version <= 1:
        response.results = [
            UpdatableFeatureResult(feature=update.feature, error_message=None)
            for update in request.feature_updates
        ]
    changed = {
        update.feature: update.max_version_level
        for update in request.feature_updates
        if update.max_version_level != finalized_level(image, update.feature)
    }
    if request.validate_only or not changed:
        return response

    def told(error: KafkaError | None) -> UpdateFeaturesResponse:
        if error is None:
            return response
        return UpdateFeaturesResponse(error_code=error.code, error_message=error.message)

    return context.broker.features.change(changed).map(told)


def _fault(update: FeatureUpdateKey, image: MetadataImage) -> str:
    """Why the update can't be, "" if it can."""
    level = update.max_version_level
    feature = FEATURES.get(update.feature)
    if update.upgrade_type not in (UPGRADE, *DOWNGRADES):
        return "The controller does not support the given upgrade type."
    if level < 0:
        return "A feature version cannot be less than 0."
    if feature is None:
        return "This broker does not support this feature."
    if not feature.min <= level <= feature.max:
        return f"This broker only supports versions {feature.min}-{feature.max}."
    finalized = finalized_level(image, update.feature)
    is_upgrade = update.upgrade_type == UPGRADE and not update.allow_downgrade
    if level < finalized and is_upgrade:
        return (
            "Can't downgrade the version of this feature without setting the upgrade type to "
            "either safe or unsafe downgrade."
        )
    if level > finalized and not is_upgrade:
        return "Can't downgrade to a newer version."
    if level != finalized and not feature.adjustable:
        return f"This broker works at version {finalized}, and at no other."
    return ""


API = Api(ApiKey.UPDATE_FEATURES, handle)
