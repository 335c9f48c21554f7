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

from kstore._native.cursor cimport (
    Cursor, read_bytes_size, read_count, read_int16, read_int32, read_string, read_uuid, skip_tags,
    take,
)

from kstore._native.output cimport (
    Output, out_count, out_free, out_int16, out_int32, out_int64, out_room, out_taken,
    out_topic,
)
from kstore._native.big_endian cimport store32

from kstore._native.codec import DecodeError


cdef class ProduceData:
    """A Produce request.

    `partitions` is a list of `(topic, index, records)`: topic the name, or the 16 bytes of its id;
    records a view into the frame, or None for null.
    """

    cdef readonly str transactional_id
    cdef readonly int16_t acks
    cdef readonly int32_t timeout_ms
    cdef readonly list partitions


def parse_produce(frame, Py_ssize_t position, bint flexible, bint topic_ids):
    """The Produce request whose body is at `position` of `frame`; what follows it is ignored."""
    cdef Py_buffer buffer
    cdef Cursor cursor
    cdef ProduceData request = ProduceData()
    cdef object view = memoryview(frame)
    PyObject_GetBuffer(frame, &buffer, PyBUF_SIMPLE)
    try:
        cursor = Cursor(<const unsigned char *>buffer.buf, position, buffer.len, False)
        request.transactional_id = read_string(&cursor, flexible)
        request.acks = read_int16(&cursor)
        request.timeout_ms = read_int32(&cursor)
        request.partitions = _partitions(&cursor, view, flexible, topic_ids)
        if flexible:
            skip_tags(&cursor)
    finally:
        PyBuffer_Release(&buffer)
    if cursor.failed:
        raise DecodeError("a malformed Produce request", cursor.position)
    return request


cdef list _partitions(Cursor *cursor, object view, bint flexible, bint topic_ids):
    cdef list found = []
    cdef Py_ssize_t size
    cdef Py_ssize_t topic_count
    cdef Py_ssize_t partition_count
    cdef int32_t index
    topic_count = read_count(cursor, flexible, 2)
    while topic_count > 0 and not cursor.failed:
        topic = read_uuid(cursor) if topic_ids else read_string(cursor, flexible)
        if topic is None:
            cursor.failed = True
        partition_count = read_count(cursor, flexible, 5)
        while partition_count > 0 and not cursor.failed:
            index = read_int32(cursor)
            size = read_bytes_size(cursor, flexible)
            if size < 0:
                found.append((topic, index, None))
            elif take(cursor, size) != NULL:
                found.append((topic, index, view[cursor.position - size:cursor.position]))
            if flexible:
                skip_tags(cursor)
            partition_count -= 1
        if flexible:
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
    cdef Output output = Output(NULL, 0, 0)
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t next_topic
    cdef Py_ssize_t count = len(results)
    cdef Py_ssize_t topic_count = 0
    try:
        out_int32(&output, 0)
        out_int32(&output, correlation_id)
        if flexible:
            out_room(&output, 1)[0] = 0
        while position < count:
            topic_count += 1
            position = _topic_end(results, position)
        out_count(&output, topic_count, flexible)
        position = 0
        while position < count:
            next_topic = _topic_end(results, position)
            out_topic(&output, (<tuple>results[position])[0], flexible)
            out_count(&output, next_topic - position, flexible)
            while position < next_topic:
                _, index, error_code, base_offset, append_time, start = <tuple>results[position]
                out_int32(&output, index)
                out_int16(&output, error_code)
                out_int64(&output, base_offset)
                out_int64(&output, append_time)
                if log_start:
                    out_int64(&output, start)
                if record_errors:
                    out_count(&output, 0, flexible)
                    if flexible:
                        out_room(&output, 1)[0] = 0  # null
                    else:
                        out_int16(&output, -1)
                if flexible:
                    out_room(&output, 1)[0] = 0
                position += 1
            if flexible:
                out_room(&output, 1)[0] = 0
        out_int32(&output, 0)
        if flexible:
            out_room(&output, 1)[0] = 0
        store32(output.data, <int32_t>(output.size - 4))
        return out_taken(&output)
    finally:
        out_free(&output)


cdef Py_ssize_t _topic_end(list results, Py_ssize_t position):
    """Where the run of results of the topic at `position` ends."""
    cdef object topic = (<tuple>results[position])[0]
    while position < len(results) and (<tuple>results[position])[0] == topic:
        position += 1
    return position
