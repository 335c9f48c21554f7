"""Is this batch fit to be appended? One native call per batch, no object per record.

What is checked, and in which order, is Kafka's (UnifiedLog.analyzeAndValidateRecords, then
LogValidator); `log/append.py` turns what is found into error codes and messages. Keeps the GIL: it
runs on the loop, where giving the GIL away could mean waiting for it longer than the work takes.
"""

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT64_MIN, int64_t, uint64_t

from kstore._native.batch cimport (
    BAD_CRC,
    CODEC_MASK,
    CONTROL_BIT,
    HEADER_SIZE,
    LOG_APPEND_TIME_BIT,
    LOG_OVERHEAD,
    SOUND,
    TORN,
    BatchHeader,
    Header,
    check_bytes,
    checksum,
    make_header,
)
from kstore._native.records cimport NO_FAULT, Walk, next_record, start_walk

__all__ = ["MAX_RECORD_FAULTS", "AppendRules", "InvalidBatch", "validate_batch", "validate_records"]

# Faults of the batch beyond those of `_native.batch`, then those of single records.
FAULTS = (
    "NO_BATCH",
    "MANY_BATCHES",
    "TOO_LARGE",
    "BASE_OFFSET",
    "OFFSET_RANGE",
    "RECORD_COUNT",
    "CONTROL",
    "SEQUENCE",
    "CODEC",
    "RECORDS",
    "OFFSET_GAP",
    "NO_KEY",
    "TIMESTAMP",
    "TIMESTAMP_TYPE",
)

cdef enum:
    FIRST_FAULT = 16
    NO_BATCH = FIRST_FAULT
    MANY_BATCHES
    TOO_LARGE
    BASE_OFFSET
    OFFSET_RANGE
    RECORD_COUNT
    CONTROL
    SEQUENCE
    CODEC
    RECORDS
    OFFSET_GAP
    NO_KEY
    TIMESTAMP
    TIMESTAMP_TYPE

    CODEC_COUNT = 5
    RECORD_FAULT_LIMIT = 1000

globals().update({name: FIRST_FAULT + index for index, name in enumerate(FAULTS)})
__all__ += FAULTS
MAX_RECORD_FAULTS = <int> RECORD_FAULT_LIMIT


class InvalidBatch(ValueError):
    """A batch that must not be appended.

    `fault` is a constant of this module or of `_native.batch`; `header` is there unless the bytes
    are no batch at all; `records` lists (index, fault, timestamp) of single records that caused it,
    at most MAX_RECORD_FAULTS.
    """

    def __init__(self, fault, header=None, records=()):
        super().__init__(fault)
        self.fault = fault
        self.header = header
        self.records = records


@cython.final
cdef class AppendRules:
    """What a log asks of a batch; times are milliseconds."""

    cdef readonly Py_ssize_t max_size
    cdef readonly bint keys_required
    cdef readonly bint log_append_time
    cdef readonly int64_t before_max_ms
    cdef readonly int64_t after_max_ms

    def __cinit__(
        self,
        *,
        Py_ssize_t max_size,
        bint keys_required,
        bint log_append_time,
        int64_t before_max_ms,
        int64_t after_max_ms,
    ):
        self.max_size = max_size
        self.keys_required = keys_required
        self.log_append_time = log_append_time
        self.before_max_ms = before_max_ms
        self.after_max_ms = after_max_ms


cdef int fault_of_header(const Header *header, bint from_client) noexcept nogil:
    """LogValidator.validateBatch."""
    if (header.attributes & CODEC_MASK) >= CODEC_COUNT:
        return CODEC
    if not from_client:
        return SOUND
    if header.last_offset_delta < 0:
        return OFFSET_RANGE
    if header.record_count <= 0 or <int64_t> header.last_offset_delta + 1 != header.record_count:
        return RECORD_COUNT
    if header.attributes & CONTROL_BIT:
        return CONTROL
    if header.producer_id >= 0 and header.base_sequence < 0:
        return SEQUENCE
    return SOUND


cdef int fault_of_time(
    const Header *header, int64_t timestamp, AppendRules rules, int64_t now_ms
) noexcept:
    """LogValidator.validateTimestamp; differences wrap as Java's do."""
    cdef int64_t age
    if rules.log_append_time or timestamp == -1:
        return TIMESTAMP_TYPE if header.attributes & LOG_APPEND_TIME_BIT else SOUND
    age = <int64_t> (<uint64_t> now_ms - <uint64_t> timestamp)
    if age > rules.before_max_ms:
        return TIMESTAMP
    if age != INT64_MIN and -age > rules.after_max_ms:
        return TIMESTAMP
    return SOUND


cdef void set_time(
    BatchHeader header, int64_t max_timestamp, AppendRules rules, int64_t now_ms
) noexcept:
    """DefaultRecordBatch.setMaxTimestamp: the header as it is to stand in the log."""
    cdef Header *fields = &header.header
    cdef int attributes = fields.attributes
    if rules.log_append_time:
        max_timestamp = now_ms
        attributes |= LOG_APPEND_TIME_BIT
    else:
        attributes &= ~LOG_APPEND_TIME_BIT
    if attributes != fields.attributes or max_timestamp != fields.max_timestamp:
        fields.attributes = attributes
        fields.max_timestamp = max_timestamp
        header.rewritten = True


cdef int walk_records(
    BatchHeader header,
    const unsigned char *data,
    Py_ssize_t start,
    Py_ssize_t end,
    AppendRules rules,
    int64_t now_ms,
) except -1:
    """Checks every record, and sets the header's max timestamp to the true one."""
    cdef Walk walk
    cdef int fault
    cdef int64_t max_timestamp = -1
    cdef list faults = None
    start_walk(&walk, &header.header, data, start, end)
    while next_record(&walk):
        if walk.last_delta != walk.index - 1:
            raise InvalidBatch(OFFSET_GAP, header, [(walk.index - 1, OFFSET_GAP, walk.timestamp)])
        if rules.keys_required and walk.record.key_size < 0:
            fault = NO_KEY
        else:
            fault = fault_of_time(&header.header, walk.timestamp, rules, now_ms)
        if fault != SOUND:
            if faults is None:
                faults = []
            if len(faults) < RECORD_FAULT_LIMIT:
                faults.append((walk.index - 1, fault, walk.timestamp))
        if walk.timestamp > max_timestamp:
            max_timestamp = walk.timestamp
    if walk.fault != NO_FAULT:
        raise InvalidBatch(RECORDS, header, [(walk.index, RECORDS, -1)])
    if faults is not None:
        raise InvalidBatch(faults[0][1], header, faults)
    set_time(header, max_timestamp, rules, now_ms)
    return 0


cdef BatchHeader validate(
    const unsigned char *data, Py_ssize_t size, AppendRules rules, int64_t now_ms, bint from_client
):
    cdef Header fields
    cdef BatchHeader header
    cdef int fault = check_bytes(data, size, False, &fields)
    if fault != SOUND:
        raise InvalidBatch(NO_BATCH if fault == TORN else fault)
    header = make_header(&fields, 0)
    if from_client and fields.base_offset != 0:
        raise InvalidBatch(BASE_OFFSET, header)
    if header.size > rules.max_size:
        raise InvalidBatch(TOO_LARGE, header)
    if checksum(data, header.size) != fields.crc:
        raise InvalidBatch(BAD_CRC, header)
    # What is left behind the batch is no matter if it is too short for another one, as in Kafka.
    if size - header.size >= LOG_OVERHEAD:
        fault = check_bytes(data + header.size, size - header.size, False, &fields)
        if fault != TORN:
            raise InvalidBatch(MANY_BATCHES if fault == SOUND else fault, header)
    fault = fault_of_header(&header.header, from_client)
    if fault != SOUND:
        raise InvalidBatch(fault, header)
    if header.header.attributes & CODEC_MASK == 0:
        walk_records(header, data, HEADER_SIZE, header.size, rules, now_ms)
        return header
    fault = fault_of_time(&header.header, header.header.max_timestamp, rules, now_ms)
    if fault != SOUND:
        raise InvalidBatch(fault, header, [(0, fault, header.header.max_timestamp)])
    set_time(header, header.header.max_timestamp, rules, now_ms)
    return header


def validate_batch(data, AppendRules rules not None, int64_t now_ms, bint from_client):
    """The header of the one batch in `data`, as it is to stand in the log but for its offset.

    The records of a compressed batch are not looked at (see `validate_records`). Raises
    InvalidBatch.
    """
    cdef Py_buffer buffer
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        return validate(<const unsigned char *> buffer.buf, buffer.len, rules, now_ms, from_client)
    finally:
        PyBuffer_Release(&buffer)


def validate_records(
    BatchHeader header not None, records, AppendRules rules not None, int64_t now_ms
):
    """Looks at the records of a compressed batch: `records` is what was in it, decompressed."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(records, &buffer, PyBUF_SIMPLE)
    try:
        walk_records(header, <const unsigned char *> buffer.buf, 0, buffer.len, rules, now_ms)
    finally:
        PyBuffer_Release(&buffer)
