"""Produce requests read, and their good replies written, without a message object.

What differs between versions comes in as flags from `wire/`. Request (v3 and newer):

    transactional_id  acks int16  timeout_ms int32
    [topic: name | topic_id   [partition: index int32  records bytes]]

Good reply (v3 and newer), behind its frame size and header; a reply with an error message or a hint
at the leader is written by the general codec:

    [topic: name | topic_id   [partition: index int32  error_code int16  base_offset int64
        log_append_time_ms int64  log_start_offset int64 (v5+)
        record_errors [] error_message null (v8+) ]]   throttle_time_ms int32

Thread: the loop. The records that are handed out are views into the frame.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int16_t, int32_t

from kstore._native.batch cimport ATTRIBUTES_AT, TRANSACTIONAL_BIT
from kstore._native.big_endian cimport store32
from kstore._native.cursor cimport (
    Cursor, cursor_over, read_bytes_size, read_count, read_int16, read_int32, read_nullable_string,
    read_topic, skip_tags, take,
)
from kstore._native.output cimport (
    Output, out_count, out_free, out_int16, out_int32, out_int64, out_no_tags, out_string_size,
    out_taken, out_topic, out_topic_count, topic_end,
)

from kstore._native.codec import DecodeError


cdef class ProduceData:
    """A Produce request.

    `partitions` is a list of `(topic, index, records)`: topic the name, or the 16 bytes of its id;
    records a view into the frame, or None for null. `is_transactional`: one of them says that it is
    part of a transaction.
    """

    cdef readonly str transactional_id
    cdef readonly int16_t acks
    cdef readonly int32_t timeout_ms
    cdef readonly list partitions
    cdef readonly bint is_transactional


def parse_produce(frame, Py_ssize_t position, bint flexible, bint topic_ids):
    """The Produce request whose body is at `position` of `frame`; what follows it is ignored."""
    cdef Py_buffer buffer
    cdef Cursor cursor
    cdef ProduceData request = ProduceData()
    cdef object view = memoryview(frame)
    PyObject_GetBuffer(frame, &buffer, PyBUF_SIMPLE)
    try:
        cursor = cursor_over(&buffer, position, flexible)
        request.transactional_id = read_nullable_string(&cursor)
        request.acks = read_int16(&cursor)
        request.timeout_ms = read_int32(&cursor)
        request.partitions = _partitions(&cursor, view, topic_ids, request)
        skip_tags(&cursor)
    finally:
        PyBuffer_Release(&buffer)
    if cursor.failed:
        raise DecodeError("a malformed Produce request", cursor.position)
    return request


cdef list _partitions(Cursor *cursor, object view, bint topic_ids, ProduceData request):
    cdef list found = []
    cdef const unsigned char *records
    cdef Py_ssize_t size, partition_count
    cdef Py_ssize_t topic_count = read_count(cursor, 2)
    cdef int32_t index
    while topic_count > 0 and not cursor.failed:
        topic = read_topic(cursor, topic_ids)
        partition_count = read_count(cursor, 5)
        while partition_count > 0 and not cursor.failed:
            index = read_int32(cursor)
            size = read_bytes_size(cursor)
            if size < 0:
                found.append((topic, index, None))
            else:
                records = take(cursor, size)
                if records == NULL:
                    break
                if size > ATTRIBUTES_AT + 1 and records[ATTRIBUTES_AT + 1] & TRANSACTIONAL_BIT:
                    request.is_transactional = True
                found.append((topic, index, view[cursor.position - size:cursor.position]))
            skip_tags(cursor)
            partition_count -= 1
        skip_tags(cursor)
        topic_count -= 1
    return found


def encode_produce_reply(
    int32_t correlation_id, list results, bint flexible, bint log_start, bint record_errors
):
    """The whole frame of a reply without error messages.

    `results` is a list of `(topic, index, error_code, base_offset, log_append_time_ms,
    log_start_offset)` in the order of the request; partitions of one topic that follow each other
    are written under one topic.
    """
    cdef Output output = Output(NULL, 0, 0, flexible)
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t next_topic
    try:
        out_int32(&output, 0)
        out_int32(&output, correlation_id)
        out_no_tags(&output)
        out_topic_count(&output, results)
        while position < len(results):
            next_topic = topic_end(results, position)
            out_topic(&output, (<tuple?>results[position])[0])
            out_count(&output, next_topic - position)
            while position < next_topic:
                _, index, error_code, base_offset, append_time, start = <tuple?>results[position]
                out_int32(&output, index)
                out_int16(&output, error_code)
                out_int64(&output, base_offset)
                out_int64(&output, append_time)
                if log_start:
                    out_int64(&output, start)
                if record_errors:
                    out_count(&output, 0)
                    out_string_size(&output, -1)
                out_no_tags(&output)
                position += 1
            out_no_tags(&output)
        out_int32(&output, 0)
        out_no_tags(&output)
        store32(output.data, <int32_t>(output.size - 4))
        return out_taken(&output)
    finally:
        out_free(&output)
