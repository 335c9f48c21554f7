"""CreateTopics (key 19): make topics.

- v2: the oldest that is served. v4: -1 means the broker's default of partitions and replication
  factor. v5: flexible; the reply tells partitions, replication factor and configs.
  v6: THROTTLING_QUOTA_EXCEEDED may be answered. v7: topic ids.

All topics of a request are made in one transaction of the tree; their directories are made in a
worker, and the reply waits for both, so a topic that was acknowledged can be written to at once.
"""

from __future__ import annotations

from collections import Counter

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.configs import Settings, describe_topic_configs
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import TopicImage
from kstore.metadata.partitions import TopicResult
from kstore.metadata.topics import NewTopic
from kstore.runtime import Later
from kstore.wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: CreateTopicsRequest, context: RequestContext) -> Later[CreateTopicsResponse]:
    counts = Counter(topic.name for topic in request.topics)
    wanted = []
    refused = [
        _failed(name, KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name."))
        for name, count in counts.items()
        if count > 1
    ]
    for topic in request.topics:
        twice = _assigned_twice(topic)
        if counts[topic.name] > 1:
            continue
        if twice is None:
            wanted.append(_new_topic(topic))
        else:
            refused.append(_failed(topic.name, twice))

    def respond(results: list[TopicResult]) -> CreateTopicsResponse:
        configs = _Configs(context.broker.settings)
        told = [_result(result, configs) for result in results]
        return CreateTopicsResponse(topics=told + refused)

    return context.broker.make_topics(wanted, validate_only=request.validate_only).map(respond)


def _assigned_twice(topic: CreatableTopic) -> KafkaError | None:
    counts = Counter(assignment.partition_index for assignment in topic.assignments)
    for index, count in counts.items():
        if count > 1:
            return KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Found multiple manual partition assignments for partition {index}",
            )
    return None


def _new_topic(topic: CreatableTopic) -> NewTopic:
    assignments = {
        assignment.partition_index: tuple(assignment.broker_ids) for assignment in topic.assignments
    }
    return NewTopic(
        name=topic.name,
        partition_count=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments=assignments or None,
        configs={config.name: config.value for config in topic.configs},
    )


class _Configs:
    """The configs of new topics as they are told. Worked out once for all that are alike: there may
    be thousands in one request, and the loop has others to serve."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[frozenset[tuple[str, str]], list[CreatableTopicConfigs]] = {}

    def of(self, topic: TopicImage) -> list[CreatableTopicConfigs]:
        key = frozenset(topic.configs.items())
        if key not in self._known:
            self._known[key] = [
                CreatableTopicConfigs(
                    name=config.name,
                    value=config.value,
                    config_source=config.source,
                    is_sensitive=False,
                    read_only=False,
                )
                for config in describe_topic_configs(self._settings, topic.configs)
            ]
        return self._known[key]


def _result(result: TopicResult, configs: _Configs) -> CreatableTopicResult:
    if result.error is not None:
        return _failed(result.name, result.error)
    topic = result.topic
    assert topic is not None
    return CreatableTopicResult(
        name=topic.name,
        topic_id=topic.topic_id,
        num_partitions=len(topic.partitions),
        replication_factor=len(topic.partitions[0].replicas),
        configs=configs.of(topic),
    )


def _failed(name: str, error: KafkaError) -> CreatableTopicResult:
    return CreatableTopicResult(
        name=name,
        error_code=error.code,
        error_message=error.message,
        num_partitions=-1,
        replication_factor=-1,
        configs=[],
    )


API = Api(ApiKey.CREATE_TOPICS, handle)
