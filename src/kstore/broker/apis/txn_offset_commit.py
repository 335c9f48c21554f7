"""TxnOffsetCommit (key 28): where a group has got to, to be committed with a transaction.

- v0-1; v2: the leader epoch of the last record. v3: flexible, and the member, its generation and
  group.instance.id (KIP-447). v4: TRANSACTION_ABORTABLE may be answered. v5: the group's partition
  of `__consumer_offsets` is added to the transaction (KIP-890), which a client does with
  AddOffsetsToTxn before.

The offsets are pending in the group until the transaction's marker. Offsets of partitions that
don't exist get UNKNOWN_TOPIC_OR_PARTITION, the others are taken all the same. Before v2
COORDINATOR_LOAD_IN_PROGRESS is told as COORDINATOR_NOT_AVAILABLE, as Kafka does (KAFKA-7296).

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.coordination import OFFSETS_TOPIC
from kstore.broker.verification import Verdicts
from kstore.coordinator.runtime import InTransaction, coordinator_error
from kstore.errors import ErrorCode, KafkaError
from kstore.groups.values import CommitRequest, CommitResult, OffsetToCommit
from kstore.runtime import Later
from kstore.wire.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: TxnOffsetCommitRequest, context: RequestContext
) -> TxnOffsetCommitResponse | Later[TxnOffsetCommitResponse]:
    response = TxnOffsetCommitResponse()
    offsets: list[OffsetToCommit] = []
    pending: list[TxnOffsetCommitResponsePartition] = []
    for topic in request.topics:
        image = context.broker.image.topics.get(topic.name)
        answers: list[TxnOffsetCommitResponsePartition] = []
        response.topics.append(TxnOffsetCommitResponseTopic(name=topic.name, partitions=answers))
        for wanted in topic.partitions:
            answer = TxnOffsetCommitResponsePartition(partition_index=wanted.partition_index)
            answers.append(answer)
            if image is None or not 0 <= wanted.partition_index < len(image.partitions):
                answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                continue
            pending.append(answer)
            offsets.append(
                OffsetToCommit(
                    topic=topic.name,
                    partition=wanted.partition_index,
                    offset=wanted.committed_offset,
                    leader_epoch=wanted.committed_leader_epoch,
                    metadata=wanted.committed_metadata or "",
                )
            )

    def respond(result: CommitResult) -> TxnOffsetCommitResponse:
        for answer, error in zip(pending, result.errors, strict=True):
            if error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and context.api_version < 2:
                error = ErrorCode.COORDINATOR_NOT_AVAILABLE
            answer.error_code = error
        return response

    if not offsets:
        return response
    return _commit(request, tuple(offsets), context).map(respond)


def _commit(
    request: TxnOffsetCommitRequest, offsets: tuple[OffsetToCommit, ...], context: RequestContext
) -> Later[CommitResult]:
    """Has the transaction coordinator asked, then the group's."""

    def refused(error: ErrorCode) -> Later[CommitResult]:
        return Later.of(CommitResult((error,) * len(offsets)))

    if not request.group_id:
        return refused(ErrorCode.INVALID_GROUP_ID)
    broker = context.broker
    key = (OFFSETS_TOPIC, broker.groups.partition_for(request.group_id))
    partition = broker.partitions.get(*key)
    if partition is None:
        return refused(ErrorCode.NOT_COORDINATOR)

    def go_on(verdicts: Verdicts) -> Later[CommitResult]:
        verdict = verdicts.get(key)
        if isinstance(verdict, KafkaError):
            return refused(coordinator_error(verdict))
        return broker.groups.commit_offsets(
            CommitRequest(
                group_id=request.group_id,
                offsets=offsets,
                member_id=request.member_id,
                generation=request.generation_id,
                instance_id=request.group_instance_id,
                transaction=InTransaction(request.producer_id, request.producer_epoch, verdict),
            )
        )

    return broker.verifier.verify(
        request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        {partition: -1},
        adds=context.api_version >= 5,
        knows_abortable=context.api_version >= 4,
    ).chain(go_on)


API = Api(ApiKey.TXN_OFFSET_COMMIT, handle)
