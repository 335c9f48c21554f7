"""AddPartitionsToTxn (key 24): partitions that are going to take part in a transaction.

- v0-1. v2: PRODUCER_FENCED may be answered; before it is INVALID_PRODUCER_EPOCH. v3: flexible, the
  last that clients send. v4: for brokers: several transactions at once, or only the question
  whether partitions take part (KIP-890). v5: TRANSACTION_ABORTABLE may be answered.

A partition that does not exist fails its transaction: the others get OPERATION_NOT_ATTEMPTED.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from collections.abc import Collection

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.producer_errors import fenced_as_of
from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode
from kstore.runtime import Later
from kstore.transactions.values import PartitionErrors
from kstore.wire.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: AddPartitionsToTxnRequest, context: RequestContext
) -> Later[AddPartitionsToTxnResponse]:
    if context.api_version < 4:
        transaction = AddPartitionsToTxnTransaction(
            transactional_id=request.v3_and_below_transactional_id,
            producer_id=request.v3_and_below_producer_id,
            producer_epoch=request.v3_and_below_producer_epoch,
            topics=request.v3_and_below_topics,
        )
        return _add(transaction, context).map(
            lambda result: AddPartitionsToTxnResponse(
                results_by_topic_v3_and_below=result.topic_results
            )
        )
    results = [_add(transaction, context) for transaction in request.transactions]
    return Later.all(results).map(
        lambda done: AddPartitionsToTxnResponse(
            results_by_transaction=[one.result() for one in done]
        )
    )


def _add(
    transaction: AddPartitionsToTxnTransaction, context: RequestContext
) -> Later[AddPartitionsToTxnResult]:
    """Adds the partitions of one transaction, or says which of them take part."""
    partitions = _partitions(transaction.topics)

    def result(errors: PartitionErrors) -> AddPartitionsToTxnResult:
        return AddPartitionsToTxnResult(
            transactional_id=transaction.transactional_id,
            topic_results=_topic_results(errors, context.api_version),
        )

    broker = context.broker
    unknown = [partition for partition in partitions if not _exists(partition, context)]
    if unknown:
        errors = dict.fromkeys(partitions, ErrorCode.OPERATION_NOT_ATTEMPTED)
        errors.update(dict.fromkeys(unknown, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        return Later.of(result(errors))
    producer = transaction.transactional_id, transaction.producer_id, transaction.producer_epoch
    if transaction.verify_only:
        return Later.of(result(broker.transactions.verify_partitions(*producer, partitions)))
    client_version = 2 if context.api_version >= 4 else 0
    adding = broker.transactions.add_partitions(
        *producer, partitions, client_version=client_version
    )
    return adding.map(result)


def _partitions(topics: list[AddPartitionsToTxnTopic]) -> Collection[TopicPartition]:
    """Each partition once, in the order of the request."""
    return dict.fromkeys((topic.name, index) for topic in topics for index in topic.partitions)


def _exists(partition: TopicPartition, context: RequestContext) -> bool:
    name, index = partition
    topic = context.broker.image.topics.get(name)
    return topic is not None and 0 <= index < len(topic.partitions)


def _topic_results(
    errors: PartitionErrors, api_version: int
) -> list[AddPartitionsToTxnTopicResult]:
    topics: dict[str, AddPartitionsToTxnTopicResult] = {}
    for (name, index), error in errors.items():
        topic = topics.get(name)
        if topic is None:
            topic = topics[name] = AddPartitionsToTxnTopicResult(name=name)
        topic.results_by_partition.append(
            AddPartitionsToTxnPartitionResult(
                partition_index=index,
                partition_error_code=fenced_as_of(error, api_version, knows_from=2),
            )
        )
    return list(topics.values())


API = Api(ApiKey.ADD_PARTITIONS_TO_TXN, handle, overlaps=True)
