"""Fetch requests read, and their replies written, without a message object.

What differs between versions comes in as flags from `wire/`. Request (v4 and newer):

    replica_id int32 (v4-14)  max_wait_ms int32  min_bytes int32  max_bytes int32
    isolation_level int8  session_id int32  session_epoch int32 (v7+)
    [topic: name | topic_id   [partition: index int32  current_leader_epoch int32 (v9+)
        fetch_offset int64  last_fetched_epoch int32 (v12+)  log_start_offset int64 (v5+)
        partition_max_bytes int32 ]]
    [forgotten: name | topic_id  [index int32]] (v7+)   rack_id (v11+)

A reply is a list of parts: bytes, and between them the slices of the log just as they were given,
so that no record is copied here. Thread: the loop.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT32_MAX, int8_t, int32_t, int64_t

from kstore._native.big_endian cimport store32
from kstore._native.cursor cimport (
    Cursor, cursor_over, read_count, read_int8, read_int32, read_int64, read_string, read_topic,
    skip_tags,
)
from kstore._native.output cimport (
    Output, out_count, out_free, out_int16, out_int32, out_int64, out_no_tags, out_taken,
    out_topic, out_topic_count, topic_end,
)

from kstore._native.codec import DecodeError


cdef class FetchShape:
    """Which fields a version of Fetch has, for request and reply."""

    cdef readonly bint replica_id, log_start, session, leader_epoch, rack
    cdef readonly bint last_fetched_epoch, flexible, topic_ids

    def __init__(
        self, *, bint replica_id, bint log_start, bint session, bint leader_epoch, bint rack,
        bint last_fetched_epoch, bint flexible, bint topic_ids
    ):
        self.replica_id = replica_id
        self.log_start = log_start
        self.session = session
        self.leader_epoch = leader_epoch
        self.rack = rack
        self.last_fetched_epoch = last_fetched_epoch
        self.flexible = flexible
        self.topic_ids = topic_ids


cdef class FetchData:
    """A Fetch request.

    `partitions` is a list of `(topic, index, current_leader_epoch, fetch_offset,
    last_fetched_epoch, max_bytes)`, `forgotten` one of `(topic, index)`; topic is the name, or the
    16 bytes of its id.
    """

    cdef readonly int32_t replica_id, max_wait_ms, min_bytes, max_bytes, session_id, session_epoch
    cdef readonly int8_t isolation_level
    cdef readonly list partitions
    cdef readonly list forgotten
    cdef readonly str rack_id


def parse_fetch(frame, Py_ssize_t position, FetchShape shape not None):
    """The Fetch request whose body is at `position` of `frame`; what follows it is ignored."""
    cdef Py_buffer buffer
    cdef Cursor cursor
    cdef FetchData request = FetchData()
    PyObject_GetBuffer(frame, &buffer, PyBUF_SIMPLE)
    try:
        cursor = cursor_over(&buffer, position, shape.flexible)
        request.replica_id = read_int32(&cursor) if shape.replica_id else -1
        request.max_wait_ms = read_int32(&cursor)
        request.min_bytes = read_int32(&cursor)
        request.max_bytes = read_int32(&cursor)
        request.isolation_level = read_int8(&cursor)
        request.session_id = read_int32(&cursor) if shape.session else 0
        request.session_epoch = read_int32(&cursor) if shape.session else -1
        request.partitions = _partitions(&cursor, shape)
        request.forgotten = _forgotten(&cursor, shape) if shape.session else []
        request.rack_id = read_string(&cursor) if shape.rack else ""
        skip_tags(&cursor)
    finally:
        PyBuffer_Release(&buffer)
    if cursor.failed:
        raise DecodeError("a malformed Fetch request", cursor.position)
    return request


cdef list _partitions(Cursor *cursor, FetchShape shape):
    cdef list found = []
    cdef int32_t index, epoch, last_epoch, max_bytes
    cdef int64_t offset
    cdef Py_ssize_t topic_count = read_count(cursor, 2)
    cdef Py_ssize_t partition_count
    while topic_count > 0 and not cursor.failed:
        topic = read_topic(cursor, shape.topic_ids)
        partition_count = read_count(cursor, 16)
        while partition_count > 0 and not cursor.failed:
            index = read_int32(cursor)
            epoch = read_int32(cursor) if shape.leader_epoch else -1
            offset = read_int64(cursor)
            last_epoch = read_int32(cursor) if shape.last_fetched_epoch else -1
            if shape.log_start:
                read_int64(cursor)  # of a follower's log: it means nothing for a consumer
            max_bytes = read_int32(cursor)
            skip_tags(cursor)
            found.append((topic, index, epoch, offset, last_epoch, max_bytes))
            partition_count -= 1
        skip_tags(cursor)
        topic_count -= 1
    return found


cdef list _forgotten(Cursor *cursor, FetchShape shape):
    cdef list found = []
    cdef Py_ssize_t topic_count = read_count(cursor, 2)
    cdef Py_ssize_t partition_count
    while topic_count > 0 and not cursor.failed:
        topic = read_topic(cursor, shape.topic_ids)
        partition_count = read_count(cursor, 4)
        while partition_count > 0 and not cursor.failed:
            found.append((topic, read_int32(cursor)))
            partition_count -= 1
        skip_tags(cursor)
        topic_count -= 1
    return found


def encode_fetch_reply(
    int32_t correlation_id, FetchShape shape not None, int error_code, int32_t session_id,
    list results
):
    """The parts of a reply's frame.

    `results` is a list of `(topic, index, error_code, high_watermark, last_stable_offset,
    log_start_offset, aborted, records)`: aborted a list of `(producer_id, first_offset)` or None
    for null, the records a slice (anything with a `size`) or None for none. Partitions of one topic
    that follow each other are written under one topic.
    """
    cdef Output output = Output(NULL, 0, 0, shape.flexible)
    cdef list parts = []
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t next_topic
    cdef Py_ssize_t slices_size = 0
    cdef Py_ssize_t size
    cdef bytearray first
    try:
        out_int32(&output, 0)
        out_int32(&output, correlation_id)
        out_no_tags(&output)
        out_int32(&output, 0)  # throttle_time_ms
        if shape.session:
            out_int16(&output, error_code)
            out_int32(&output, session_id)
        out_topic_count(&output, results)
        while position < len(results):
            next_topic = topic_end(results, position)
            out_topic(&output, (<tuple?>results[position])[0])
            out_count(&output, next_topic - position)
            while position < next_topic:
                records = _partition(&output, shape, <tuple?>results[position])
                size = records.size if records is not None else 0
                out_count(&output, size)
                if records is not None:
                    slices_size += size
                    parts.append(out_taken(&output))
                    parts.append(records)
                out_no_tags(&output)
                position += 1
            out_no_tags(&output)
        out_no_tags(&output)
        if output.size:
            parts.append(out_taken(&output))
    finally:
        out_free(&output)
    size = slices_size - 4
    for part in parts:
        if isinstance(part, bytes):
            size += len(<bytes>part)
    if size > INT32_MAX:
        raise OverflowError(f"a reply of {size} bytes")
    first = bytearray(parts[0])
    store32(<unsigned char *><char *>first, <int32_t>size)
    parts[0] = bytes(first)
    return parts


cdef object _partition(Output *output, FetchShape shape, tuple result):
    """Writes a partition up to its records, which it returns."""
    _, index, error_code, high_watermark, last_stable_offset, log_start_offset, aborted, records = \
        result
    out_int32(output, index)
    out_int16(output, error_code)
    out_int64(output, high_watermark)
    out_int64(output, last_stable_offset)
    if shape.log_start:
        out_int64(output, log_start_offset)
    if aborted is None:
        out_count(output, -1)
    else:
        out_count(output, len(aborted))
        for producer_id, first_offset in aborted:
            out_int64(output, producer_id)
            out_int64(output, first_offset)
            out_no_tags(output)
    if shape.rack:
        out_int32(output, -1)  # preferred_read_replica
    return records
