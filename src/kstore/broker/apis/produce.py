"""Produce (key 0): append records.

- v3: the oldest that is served, one v2 batch for a partition. v5: log start offset. v7: zstd.
  v8: record errors. v9: flexible. v10: hints at another leader. v11: TRANSACTION_ABORTABLE may be
  answered. v12: transactions version 2. v13: topics by id.
- v0-2 are advertised for librdkafka's sake (KAFKA-18659) and refused.

The request is read natively and its records are handed to the log where they lie; a reply without
record errors is written natively, any other as a message. On one node an append is committed when
it is done, so acks=1 and acks=all are answered at once. Two kinds of answers come later: that of a
batch which the topic stores in another codec, and with `kstore.acks.all.flush` that of acks=all,
which waits until the batch is on the disk, at most for the request's timeout.

The first batch of a transaction in a partition waits for the transaction coordinator's answer, and
with it the whole request and those behind it on its connection (`broker/verification.py`).

Left out: the hints at another leader, as there is none; authorization, until there are users.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from kstore._native.batch import BatchError, BatchHeader, parse_header
from kstore._native.produce import ProduceData, encode_produce_reply, parse_produce
from kstore.broker.api import CloseConnection, FrameApi, InEffect, Reply
from kstore.broker.context import RequestContext
from kstore.broker.partition import Partition
from kstore.broker.verification import Verdicts
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Appended, InvalidRecordError
from kstore.runtime import Later
from kstore.wire import headers
from kstore.wire.codec import encode_response
from kstore.wire.messages.produce import (
    BatchIndexAndErrorMessage,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

Result = tuple[str | bytes, int, int, int, int, int]
"""topic, index, error_code, base_offset, log_append_time_ms, log_start_offset"""

ATTRIBUTES_POSITION = 22
"""Where the low byte of a batch's attributes lies."""
CODEC_BITS = 0x07
ZSTD = 4


Outcome = tuple[Result, KafkaError | None]
Wanted = list[tuple[str | bytes, int, memoryview | None]]

_NO_VERDICTS: Verdicts = {}


def handle(frame: memoryview, position: int, context: RequestContext) -> Reply | Later[Reply]:
    version = context.api_version
    request = parse_produce(frame, position, version >= 9, version >= 13)
    if request.acks not in (0, 1, -1):
        return _refuse(request, ErrorCode.INVALID_REQUIRED_ACKS, context)
    if request.is_transactional:
        return _verify_and_append(request, context)
    return _append_all(request, request.partitions, _NO_VERDICTS, context)


def _append_all(
    request: ProduceData,
    partitions: Wanted,
    verdicts: Verdicts,
    context: RequestContext,
) -> Reply | Later[Reply]:
    acks = request.acks
    now_ms = context.broker.runtime.time_ms()
    done: list[Outcome] = []
    coming: list[_Coming] = []
    for place, (topic, index, records) in enumerate(partitions):
        outcome = _append(request, topic, index, records, now_ms, verdicts, context)
        if isinstance(outcome, Later):
            coming.append(_Coming(place, topic, index, outcome))
        else:
            done.append(outcome)
    if not coming:
        return _reply(acks, done, context)

    def respond(laters: list[Later[Outcome]]) -> Reply:
        for one, later in zip(coming, laters, strict=True):
            done.insert(one.place, later.result())
        return _reply(acks, done, context)

    outcomes = [one.outcome for one in coming]
    in_effect = all(isinstance(outcome, InEffect) for outcome in outcomes)
    reply: Later[Reply] = InEffect() if in_effect else Later()
    Later.all(outcomes).map(respond).then(reply.follow)
    if acks == -1:
        timer = context.broker.runtime.call_later(max(request.timeout_ms, 0), _expire, coming)
        reply.then(lambda _: timer.cancel())
    return reply


def _verify_and_append(request: ProduceData, context: RequestContext) -> Reply | Later[Reply]:
    """Has the transaction coordinator asked where a batch may be the first of its transaction."""
    if request.transactional_id is None:
        return _refuse(request, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, context)
    producers: set[tuple[int, int]] = set()
    sequences: dict[Partition, int] = {}
    for topic, index, records in request.partitions:
        header = _transactional(records)
        if header is None:
            continue
        producers.add((header.producer_id, header.producer_epoch))
        partition = context.broker.partitions.by_key.get((topic, index))
        if partition is not None and not partition.internal:
            sequences[partition] = header.base_sequence
    if len(producers) != 1:
        if producers:
            return _refuse(request, ErrorCode.INVALID_PRODUCER_ID_MAPPING, context)
        return _append_all(request, request.partitions, _NO_VERDICTS, context)
    ((producer_id, producer_epoch),) = producers
    asked = context.broker.verifier.verify_produce(
        request.transactional_id,
        producer_id,
        producer_epoch,
        sequences,
        adds=context.api_version >= 12,
        knows_abortable=context.api_version >= 11,
    )
    if asked.done:
        return _append_all(request, request.partitions, asked.result(), context)
    # The frame is gone when the answer comes.
    kept: Wanted = [
        (topic, index, None if records is None else memoryview(bytes(records)))
        for topic, index, records in request.partitions
    ]

    def go_on(verdicts: Verdicts) -> Later[Reply]:
        reply = _append_all(request, kept, verdicts, context)
        return reply if isinstance(reply, Later) else Later.of(reply)

    return asked.chain(go_on)


def _transactional(records: memoryview | None) -> BatchHeader | None:
    """The header of a batch that is part of a producer's transaction."""
    try:
        header = None if records is None else parse_header(records)
    except BatchError:
        return None  # the log will say what is wrong with it
    if header is None or not header.is_transactional or header.producer_id < 0:
        return None
    return header


def _refuse(request: ProduceData, code: ErrorCode, context: RequestContext) -> Reply:
    """The answer to a request of which nothing is appended."""
    error = KafkaError(code)
    failed = [_failed(topic, index, error) for topic, index, _ in request.partitions]
    return _reply(request.acks, failed, context)


@dataclass(frozen=True, slots=True)
class _Coming:
    """What will have become of one partition's batch; `place` is that in the request."""

    place: int
    topic: str | bytes
    index: int
    outcome: Later[Outcome]


def _expire(coming: list[_Coming]) -> None:
    """Answers for the partitions that are not committed yet; the batches stay in the log."""
    for one in coming:
        if not one.outcome.done:
            timed_out = KafkaError(ErrorCode.REQUEST_TIMED_OUT)
            one.outcome.complete(_failed(one.topic, one.index, timed_out))


def _reply(acks: int, outcomes: list[Outcome], context: RequestContext) -> Reply:
    version = context.api_version
    errors = [error for _, error in outcomes if error is not None]
    if acks == 0:
        if errors:
            raise CloseConnection(f"a produce with acks=0 failed: {errors[0]}")
        return []
    if errors and version >= 8:
        return _reply_with_errors(outcomes, context)
    results = [result for result, _ in outcomes]
    return [
        encode_produce_reply(
            context.correlation_id, results, version >= 9, version >= 5, version >= 8
        )
    ]


def _append(
    request: ProduceData,
    topic: str | bytes,
    index: int,
    records: memoryview | None,
    now_ms: int,
    verdicts: Verdicts,
    context: RequestContext,
) -> Outcome | Later[Outcome]:
    try:
        partition = context.broker.partitions.find(topic, index)
        if records is None:
            raise KafkaError(ErrorCode.INVALID_RECORD, "a partition without a batch")
        if partition.internal:
            raise KafkaError(
                ErrorCode.INVALID_TOPIC_EXCEPTION,
                f"Cannot append to internal topic {partition.topic}",
            )
        _check_codec(records, context.api_version)
        if request.acks == -1:
            partition.check_in_sync_replicas()
        verdict = verdicts.get((partition.topic, index)) if verdicts else None
        if isinstance(verdict, KafkaError):
            raise verdict
        appended = partition.produce(records, now_ms, context.broker.runtime, verdict)
    except KafkaError as error:
        return _failed(topic, index, error)
    if isinstance(appended, Later):
        if request.acks == -1:
            appended = appended.chain(partition.when_committed)
        return _outcome(topic, index, appended, Later())
    if request.acks == -1 and not partition.is_committed(appended):
        return _outcome(topic, index, partition.when_committed(appended), InEffect())
    return _appended(topic, index, appended)


def _outcome(
    topic: str | bytes, index: int, appended: Later[Appended], outcome: Later[Outcome]
) -> Later[Outcome]:
    """`outcome`, which becomes what `appended` comes to; it fails only with what is not the
    client's to know."""

    def done(later: Later[Appended]) -> None:
        if outcome.done:
            return  # it took too long
        if isinstance(later.error, KafkaError):
            outcome.complete(_failed(topic, index, later.error))
        elif later.error is not None:
            outcome.fail(later.error)
        else:
            outcome.complete(_appended(topic, index, later.result()))

    appended.then(done)
    return outcome


def _appended(topic: str | bytes, index: int, appended: Appended) -> Outcome:
    return (
        topic,
        index,
        0,
        appended.base_offset,
        appended.log_append_time_ms,
        appended.log_start_offset,
    ), None


def _check_codec(records: memoryview, version: int) -> None:
    if version >= 7 or len(records) <= ATTRIBUTES_POSITION:
        return
    if records[ATTRIBUTES_POSITION] & CODEC_BITS == ZSTD:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
            f"Produce v{version} does not know zstd; it needs v7 or newer",
        )


def _failed(topic: str | bytes, index: int, error: KafkaError) -> Outcome:
    return (topic, index, int(error.code), -1, -1, -1), error


def _reply_with_errors(outcomes: list[Outcome], context: RequestContext) -> Reply:
    """The reply as a message: since v8 it tells what was wrong, and with which records."""
    response = ProduceResponse()
    for (topic, index, error_code, base_offset, append_time_ms, start), error in outcomes:
        partition = PartitionProduceResponse(
            index=index,
            error_code=error_code,
            base_offset=base_offset,
            log_append_time_ms=append_time_ms,
            log_start_offset=start,
        )
        if error is not None:
            partition.error_message = error.message
        if isinstance(error, InvalidRecordError):
            partition.record_errors = [
                BatchIndexAndErrorMessage(batch_index=record, batch_index_error_message=message)
                for record, message in error.record_errors
            ]
        _topic(response, topic).partition_responses.append(partition)
    body = encode_response(response, context.api_version)
    return [
        headers.response_frame(ApiKey.PRODUCE, context.api_version, context.correlation_id, body)
    ]


def _topic(response: ProduceResponse, topic: str | bytes) -> TopicProduceResponse:
    """The entry of `topic` at the end of the response, made if it isn't there."""
    entry = TopicProduceResponse()
    if isinstance(topic, bytes):
        entry.topic_id = UUID(bytes=topic)
    else:
        entry.name = topic
    if response.responses:
        last = response.responses[-1]
        if (last.name, last.topic_id) == (entry.name, entry.topic_id):
            return last
    response.responses.append(entry)
    return entry


API = FrameApi(ApiKey.PRODUCE, handle)
