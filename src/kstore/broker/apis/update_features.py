"""UpdateFeatures (key 57): finalize other levels of the cluster's features (KIP-584).

- v0: the oldest. v1: the kind of an update instead of a switch for downgrades, and validation
  alone. v2: no results by feature.

The levels are those that this broker works at (`broker/features.py`): asking for them changes
nothing and is fine, any other level is refused, for all features of the request as in Kafka.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.features import FEATURES
from kstore.errors import ErrorCode
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


def handle(request: UpdateFeaturesRequest, context: RequestContext) -> UpdateFeaturesResponse:
    for update in request.feature_updates:
        reason = _fault(update)
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
    return response


def _fault(update: FeatureUpdateKey) -> str:
    """Why the update can't be, "" if it changes nothing."""
    level = update.max_version_level
    levels = FEATURES.get(update.feature)
    if update.upgrade_type not in (UPGRADE, *DOWNGRADES):
        return "The controller does not support the given upgrade type."
    if level < 0:
        return "A feature version cannot be less than 0."
    if levels is None:
        return "This broker does not support this feature."
    if not levels.min <= level <= levels.max:
        return f"This broker only supports versions {levels.min}-{levels.max}."
    if level == levels.finalized:
        return ""
    if level < levels.finalized and update.upgrade_type == UPGRADE and not update.allow_downgrade:
        return (
            "Can't downgrade the version of this feature without setting the upgrade type to "
            "either safe or unsafe downgrade."
        )
    return f"This broker works at version {levels.finalized}, and at no other."


API = Api(ApiKey.UPDATE_FEATURES, handle)
