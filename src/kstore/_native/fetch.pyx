"""Fetch requests read, and their replies written, without a message object.

What differs between versions comes in as flags from `wire/`. Request (v4 and newer):

    replica_id int32 (v4-14)  max_wait_ms int32  min_bytes int32  max_bytes int32
    isolation_level int8  session_id int32  session_epoch int32 (v7+)
    [topic: name | topic_id   [partition: index int32  current_leader_epoch int32 (v9+)
        fetch_offset int64  last_fetched_epoch int32 (v12+)  log_start_offset int64 (v5+)
        partition_max_bytes int32 ]]
    [forgotten: name | topic_id  [index int32]] (v7+)   rack_id (v11+)

A `WantedPartition` goes the whole way: read from a request, perhaps kept in a session, compared with
what there is (`with_news`), filled in by who reads, and written into the reply. So a partition that
has nothing new costs no Python at all.

A reply is a list of parts: bytes, and between them the slices of the log just as they were given,
so that no record is copied here. Thread: the loop.
"""

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from libc.stdint cimport INT32_MAX, int8_t, int32_t, int64_t

from kstore._native.big_endian cimport store32
from kstore._native.cursor cimport (
    Cursor, cursor_over, read_count, read_int8, read_int32, read_int64, read_string, read_topic,
    skip_tags,
)
from kstore._native.ends cimport PartitionEnds
from kstore._native.output cimport (
    Output, out_count, out_free, out_int16, out_int32, out_int64, out_no_tags, out_taken, out_topic,
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


@cython.final
cdef class WantedPartition:
    """One partition of a fetch: what the client wants, what was found, what it was last told.

    `key` is (topic, index); the topic is its name or the 16 bytes of its id, as the client calls it.
    """

    cdef readonly tuple key
    cdef readonly object topic
    cdef readonly int32_t index, leader_epoch, max_bytes
    cdef readonly int64_t fetch_offset
    cdef readonly object records
    cdef int error_code
    cdef int64_t high_watermark, last_stable_offset, log_start_offset
    cdef object aborted
    cdef int64_t told_high_watermark, told_log_start_offset

    def __cinit__(self):
        self.told_high_watermark = self.told_log_start_offset = -1

    def know(self, WantedPartition known not None):
        """Takes over what the client was told of this partition."""
        self.told_high_watermark = known.told_high_watermark
        self.told_log_start_offset = known.told_log_start_offset

    def found(self, PartitionEnds partition not None, records, aborted):
        """What is to be answered: these records (anything with a `size`), or None for none.

        `aborted` are the (producer id, first offset) of transactions whose records are to be left
        out, for who reads what is committed, else None.
        """
        self.note(partition, aborted)
        self.records = records

    def failed(self, int error_code):
        """What is to be answered: this error."""
        self.error_code = error_code
        self.high_watermark = self.last_stable_offset = self.log_start_offset = -1
        self.aborted = None
        self.records = None

    def release(self):
        """Lets the records go."""
        self.records = None

    cdef void note(self, PartitionEnds partition, object aborted):
        self.error_code = 0
        self.high_watermark = partition.high_watermark
        self.last_stable_offset = partition.last_stable_offset
        self.log_start_offset = partition.ends.log_start_offset
        self.aborted = aborted

    cdef bint tell(self):
        """Is there news for a client that knows what it was told? Remembers that it is told now."""
        cdef bint news = (
            self.records is not None
            or self.error_code != 0
            or self.high_watermark != self.told_high_watermark
            or self.log_start_offset != self.told_log_start_offset
        )
        # After an error the next reply tells the partition again, whatever it holds.
        self.told_high_watermark = -1 if self.error_code else self.high_watermark
        self.told_log_start_offset = self.log_start_offset
        return news


def with_news(dict wanted not None, dict partitions not None, bint committed_only):
    """`(news, known)`: what of `wanted` has to be read, and the partitions that are here.

    News are (wanted, its partition, or None if it is not here). All the others have nothing for the
    client, and that is noted in them. Both dicts have (topic, index) as keys.
    """
    cdef list news = []
    cdef list known = []
    cdef PyObject *found
    cdef PartitionEnds partition
    cdef WantedPartition one
    for value in wanted.values():
        one = <WantedPartition?>value
        found = PyDict_GetItem(partitions, one.key)
        if found == NULL:
            news.append((one, None))
            continue
        partition = <PartitionEnds?><object>found
        known.append(partition)
        if (
            partition.ends.failed is not None
            or partition.ends.closed
            or (one.leader_epoch >= 0 and one.leader_epoch != partition.leader_epoch)
            or one.fetch_offset != (
                partition.last_stable_offset if committed_only else partition.high_watermark
            )
        ):
            news.append((one, partition))
            continue
        one.note(partition, () if committed_only else None)
        one.records = None
    return news, known


def watch(list partitions not None, watcher):
    """Adds `watcher` to those who are told about each of the partitions."""
    for partition in partitions:
        (<PartitionEnds?>partition).watchers.add(watcher)


def unwatch(list partitions not None, watcher):
    for partition in partitions:
        (<PartitionEnds?>partition).watchers.discard(watcher)


cdef class FetchData:
    """A Fetch request.

    `partitions` are the `WantedPartition`s by their keys (of two with the same key the later one
    counts), `forgotten` is a list of keys.
    """

    cdef readonly int32_t replica_id, max_wait_ms, min_bytes, max_bytes, session_id, session_epoch
    cdef readonly int8_t isolation_level
    cdef readonly dict partitions
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


cdef dict _partitions(Cursor *cursor, FetchShape shape):
    cdef dict found = {}
    cdef WantedPartition wanted
    cdef Py_ssize_t topic_count = read_count(cursor, 2)
    cdef Py_ssize_t partition_count
    while topic_count > 0 and not cursor.failed:
        topic = read_topic(cursor, shape.topic_ids)
        partition_count = read_count(cursor, 16)
        while partition_count > 0 and not cursor.failed:
            wanted = WantedPartition.__new__(WantedPartition)
            wanted.topic = topic
            wanted.index = read_int32(cursor)
            wanted.key = (topic, wanted.index)
            wanted.leader_epoch = read_int32(cursor) if shape.leader_epoch else -1
            wanted.fetch_offset = read_int64(cursor)
            if shape.last_fetched_epoch:
                read_int32(cursor)  # of a follower's log, as is the next: no consumer's business
            if shape.log_start:
                read_int64(cursor)
            wanted.max_bytes = read_int32(cursor)
            skip_tags(cursor)
            found[wanted.key] = wanted
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
    dict wanted not None, bint only_news
):
    """The parts of a reply's frame: what was found for each of `wanted`, or `only_news` of it.

    Partitions of one topic that follow each other are written under one topic. The records are in
    the parts then, and no longer in `wanted`.
    """
    cdef Output output = Output(NULL, 0, 0, shape.flexible)
    cdef list parts = []
    cdef list told = []
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t next_topic
    cdef Py_ssize_t size = -4
    cdef WantedPartition one
    cdef bytearray first
    for value in wanted.values():
        if (<WantedPartition?>value).tell() or not only_news:
            told.append(value)
    try:
        out_int32(&output, 0)
        out_int32(&output, correlation_id)
        out_no_tags(&output)
        out_int32(&output, 0)  # throttle_time_ms
        if shape.session:
            out_int16(&output, error_code)
            out_int32(&output, session_id)
        out_count(&output, _topic_count(told))
        while position < len(told):
            next_topic = _topic_end(told, position)
            out_topic(&output, (<WantedPartition>told[position]).topic)
            out_count(&output, next_topic - position)
            while position < next_topic:
                one = <WantedPartition>told[position]
                _partition(&output, shape, one)
                if one.records is None:
                    out_count(&output, 0)
                else:
                    out_count(&output, one.records.size)
                    size += output.size + <Py_ssize_t>one.records.size
                    parts.append(out_taken(&output))
                    parts.append(one.records)
                    one.records = None
                out_no_tags(&output)
                position += 1
            out_no_tags(&output)
        out_no_tags(&output)
        if output.size:
            size += output.size
            parts.append(out_taken(&output))
    finally:
        out_free(&output)
    if size > INT32_MAX:
        raise OverflowError(f"a reply of {size} bytes")
    first = bytearray(parts[0])
    store32(<unsigned char *><char *>first, <int32_t>size)
    parts[0] = bytes(first)
    return parts


cdef Py_ssize_t _topic_end(list told, Py_ssize_t position) except -1:
    """Where the run of partitions of the topic at `position` ends."""
    cdef object topic = (<WantedPartition>told[position]).topic
    cdef object other
    while position < len(told):
        other = (<WantedPartition>told[position]).topic
        if other is not topic and other != topic:
            break
        position += 1
    return position


cdef Py_ssize_t _topic_count(list told) except -1:
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t count = 0
    while position < len(told):
        position = _topic_end(told, position)
        count += 1
    return count


cdef int _partition(Output *output, FetchShape shape, WantedPartition found) except -1:
    """Writes a partition up to its records."""
    out_int32(output, found.index)
    out_int16(output, found.error_code)
    out_int64(output, found.high_watermark)
    out_int64(output, found.last_stable_offset)
    if shape.log_start:
        out_int64(output, found.log_start_offset)
    if found.aborted is None:
        out_count(output, -1)
    else:
        out_count(output, len(found.aborted))
        for producer_id, first_offset in found.aborted:
            out_int64(output, producer_id)
            out_int64(output, first_offset)
            out_no_tags(output)
    if shape.rack:
        out_int32(output, -1)  # preferred_read_replica
    return 0
