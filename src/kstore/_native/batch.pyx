"""Record batches: reading their headers and checking their bytes.

Holds no policy: it says what a batch is and whether its bytes are whole; what is allowed in a log
is decided by `log/append.py`. Any thread may call everything here; checking a buffer frees the GIL.
"""

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from kstore._native.big_endian cimport load16, load32, load64, store16, store32, store64

cdef extern from "crc32c.h" nogil:
    void kstore_crc32c_setup()
    uint32_t kstore_crc32c(uint32_t before, const unsigned char *data, size_t size)
    uint32_t kstore_crc32c_slices(uint32_t crc, const unsigned char *data, size_t size)

kstore_crc32c_setup()

__all__ = [
    "BAD_CRC",
    "BAD_LENGTH",
    "BAD_MAGIC",
    "HEADER_SIZE",
    "OLD_MAGIC",
    "TORN",
    "Appended",
    "BatchError",
    "BatchHeader",
    "check_batch",
    "crc32c",
    "parse_header",
    "walk",
]

# The names are those of C constants too, so that a plain assignment would mean the latter.
globals().update(
    HEADER_SIZE=<int> HEADER_SIZE,
    TORN=<int> TORN,
    BAD_LENGTH=<int> BAD_LENGTH,
    OLD_MAGIC=<int> OLD_MAGIC,
    BAD_MAGIC=<int> BAD_MAGIC,
    BAD_CRC=<int> BAD_CRC,
)

cdef dict REASONS = {
    TORN: "the bytes end inside the batch",
    BAD_LENGTH: "the batch length is too small",
    OLD_MAGIC: "a message set of an old format (magic 0 or 1)",
    BAD_MAGIC: "unknown magic",
    BAD_CRC: "the CRC does not match",
}


class BatchError(ValueError):
    """Bytes that are no sound batch: `position` in the buffer, `fault` one of the constants."""

    def __init__(self, position, fault):
        super().__init__(f"position {position}: {REASONS[fault]}")
        self.position = position
        self.fault = fault
        self.reason = REASONS[fault]


cdef void read_header(const unsigned char *data, Header *header) noexcept nogil:
    """Reads the 61 bytes of a header of magic 2; the caller knows that they are there."""
    header.base_offset = load64(data + BASE_OFFSET_AT)
    header.batch_length = load32(data + BATCH_LENGTH_AT)
    header.leader_epoch = load32(data + LEADER_EPOCH_AT)
    header.magic = <int8_t> data[MAGIC_AT]
    header.crc = <uint32_t> load32(data + CRC_AT)
    header.attributes = load16(data + ATTRIBUTES_AT)
    header.last_offset_delta = load32(data + LAST_OFFSET_DELTA_AT)
    header.base_timestamp = load64(data + BASE_TIMESTAMP_AT)
    header.max_timestamp = load64(data + MAX_TIMESTAMP_AT)
    header.producer_id = load64(data + PRODUCER_ID_AT)
    header.producer_epoch = load16(data + PRODUCER_EPOCH_AT)
    header.base_sequence = load32(data + BASE_SEQUENCE_AT)
    header.record_count = load32(data + RECORD_COUNT_AT)


cdef void write_header(unsigned char *batch, Header *header) noexcept nogil:
    """Writes a header of magic 2 before the records of its batch, with the CRC of both."""
    header.magic = 2
    store64(batch + BASE_OFFSET_AT, header.base_offset)
    store32(batch + BATCH_LENGTH_AT, header.batch_length)
    store32(batch + LEADER_EPOCH_AT, header.leader_epoch)
    batch[MAGIC_AT] = 2
    store16(batch + ATTRIBUTES_AT, header.attributes)
    store32(batch + LAST_OFFSET_DELTA_AT, header.last_offset_delta)
    store64(batch + BASE_TIMESTAMP_AT, header.base_timestamp)
    store64(batch + MAX_TIMESTAMP_AT, header.max_timestamp)
    store64(batch + PRODUCER_ID_AT, header.producer_id)
    store16(batch + PRODUCER_EPOCH_AT, header.producer_epoch)
    store32(batch + BASE_SEQUENCE_AT, header.base_sequence)
    store32(batch + RECORD_COUNT_AT, header.record_count)
    header.crc = checksum(batch, LOG_OVERHEAD + <Py_ssize_t> header.batch_length)
    store32(batch + CRC_AT, <int32_t> header.crc)


cdef uint32_t checksum(const unsigned char *batch, Py_ssize_t size) noexcept nogil:
    """The CRC that a batch of `size` bytes ought to carry."""
    return kstore_crc32c(0, batch + CHECKSUMMED_AT, <size_t> (size - CHECKSUMMED_AT))


cdef uint32_t checksum_apart(
    const unsigned char *header, const unsigned char *records, Py_ssize_t records_size
) noexcept nogil:
    """As `checksum`, for a header and records that lie in two places."""
    cdef uint32_t crc = checksum(header, HEADER_SIZE)
    return kstore_crc32c(crc, records, <size_t> records_size)


cdef int check_bytes(
    const unsigned char *data, Py_ssize_t left, bint verify_crc, Header *header
) noexcept nogil:
    """Is there a whole batch in the `left` bytes at `data`? Fills `header` if it is SOUND.

    The order of the checks is that of Kafka's ByteBufferLogInputStream and DefaultRecordBatch.
    """
    cdef Py_ssize_t length
    cdef int magic
    if left < LOG_OVERHEAD:
        return TORN
    length = load32(data + BATCH_LENGTH_AT)
    if length < MIN_LEGACY_LENGTH:
        return BAD_LENGTH
    if left <= MAGIC_AT:
        return TORN
    magic = <int8_t> data[MAGIC_AT]
    if magic < 0 or magic > 2:
        return BAD_MAGIC
    if left < LOG_OVERHEAD + length:
        return TORN
    if magic < 2:
        return OLD_MAGIC
    if length < HEADER_SIZE - LOG_OVERHEAD:
        return BAD_LENGTH
    read_header(data, header)
    if verify_crc and checksum(data, LOG_OVERHEAD + length) != header.crc:
        return BAD_CRC
    return SOUND


cdef class BatchHeader:
    """The header of one batch. `position` is where the batch starts in the bytes it was read from,
    `size` that of the whole batch in bytes; the rest is named as in Kafka."""

    @property
    def base_offset(self):
        return self.header.base_offset

    @property
    def last_offset(self):
        return last_offset_of(&self.header)

    @property
    def leader_epoch(self):
        return self.header.leader_epoch

    @property
    def magic(self):
        return self.header.magic

    @property
    def crc(self):
        return self.header.crc

    @property
    def attributes(self):
        return self.header.attributes

    @property
    def last_offset_delta(self):
        return self.header.last_offset_delta

    @property
    def base_timestamp(self):
        return self.header.base_timestamp

    @property
    def max_timestamp(self):
        return self.header.max_timestamp

    @property
    def producer_id(self):
        return self.header.producer_id

    @property
    def producer_epoch(self):
        return self.header.producer_epoch

    @property
    def base_sequence(self):
        return self.header.base_sequence

    @property
    def last_sequence(self):
        """The sequence of the last record; sequences wrap from 2**31 - 1 to 0. -1 without one."""
        if self.header.base_sequence < 0:
            return -1
        return (self.header.base_sequence + <int64_t> self.header.last_offset_delta) & 0x7FFFFFFF

    @property
    def record_count(self):
        return self.header.record_count

    @property
    def codec(self):
        """0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 are unknown."""
        return self.header.attributes & CODEC_MASK

    @property
    def is_log_append_time(self):
        return bool(self.header.attributes & LOG_APPEND_TIME_BIT)

    @property
    def is_transactional(self):
        return bool(self.header.attributes & TRANSACTIONAL_BIT)

    @property
    def is_control(self):
        return bool(self.header.attributes & CONTROL_BIT)

    @property
    def has_delete_horizon(self):
        """The base timestamp is the time from which compaction may drop the batch's tombstones."""
        return bool(self.header.attributes & DELETE_HORIZON_BIT)

    def __repr__(self):
        return (
            f"BatchHeader(offsets {self.base_offset}..{self.last_offset}, "
            f"position {self.position}, size {self.size}, count {self.record_count})"
        )


cdef BatchHeader make_header(const Header *header, Py_ssize_t position):
    cdef BatchHeader made = BatchHeader.__new__(BatchHeader)
    made.header = header[0]
    made.position = position
    made.size = LOG_OVERHEAD + <Py_ssize_t> header.batch_length
    return made


@cython.final
@cython.freelist(8)
cdef class Appended:
    """What an append did: an immutable value, made natively since there is one for each append.

    `log_append_time_ms` is -1 where the producer's timestamps count. A `duplicate` was in the log
    already, at these offsets, and its `size` bytes were not appended.
    """

    cdef readonly int64_t base_offset
    cdef readonly int64_t last_offset
    cdef readonly int64_t log_append_time_ms
    cdef readonly int64_t log_start_offset
    cdef readonly bint duplicate
    cdef readonly Py_ssize_t size

    def __cinit__(
        self, int64_t base_offset, int64_t last_offset, int64_t log_append_time_ms,
        int64_t log_start_offset, bint duplicate, Py_ssize_t size
    ):
        self.base_offset = base_offset
        self.last_offset = last_offset
        self.log_append_time_ms = log_append_time_ms
        self.log_start_offset = log_start_offset
        self.duplicate = duplicate
        self.size = size

    cdef tuple _fields(self):
        return (
            self.base_offset, self.last_offset, self.log_append_time_ms, self.log_start_offset,
            self.duplicate, self.size,
        )

    def __eq__(self, other):
        return isinstance(other, Appended) and self._fields() == (<Appended> other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (
            f"Appended(offsets {self.base_offset}..{self.last_offset}, size {self.size}, "
            f"log_append_time_ms {self.log_append_time_ms}, "
            f"log_start_offset {self.log_start_offset}, duplicate {self.duplicate})"
        )


def parse_header(data, Py_ssize_t position=0):
    """The header at `position` of `data`, of which only these 61 bytes are looked at.

    Raises BatchError if they are not there, or are not those of a batch of magic 2.
    """
    cdef Py_buffer buffer
    cdef Header header
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        if position < 0 or buffer.len - position < HEADER_SIZE:
            raise BatchError(position, TORN)
        read_header(<const unsigned char *> buffer.buf + position, &header)
    finally:
        PyBuffer_Release(&buffer)
    if header.magic != 2:
        raise BatchError(position, OLD_MAGIC if header.magic in (0, 1) else BAD_MAGIC)
    if header.batch_length < HEADER_SIZE - LOG_OVERHEAD:
        raise BatchError(position, BAD_LENGTH)
    return make_header(&header, position)


def check_batch(data, Py_ssize_t position=0, *, bint crc=True):
    """The header of the batch at `position`, all of whose bytes are there, its CRC verified if
    `crc`. Raises BatchError."""
    cdef Py_buffer buffer
    cdef Header header
    cdef int fault = TORN
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        if 0 <= position <= buffer.len:
            with nogil:
                fault = check_bytes(
                    <const unsigned char *> buffer.buf + position,
                    buffer.len - position,
                    crc,
                    &header,
                )
    finally:
        PyBuffer_Release(&buffer)
    if fault != SOUND:
        raise BatchError(position, fault)
    return make_header(&header, position)


def crc32c(data, *, bint portable=False):
    """The CRC-32C of `data`; `portable`: as on a machine without instructions for it."""
    cdef Py_buffer buffer
    cdef uint32_t crc
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        if portable:
            crc = ~kstore_crc32c_slices(
                0xFFFFFFFF, <const unsigned char *> buffer.buf, <size_t> buffer.len
            )
        else:
            crc = kstore_crc32c(0, <const unsigned char *> buffer.buf, <size_t> buffer.len)
    finally:
        PyBuffer_Release(&buffer)
    return crc


def walk(data, Py_ssize_t position=0, *, bint crc=True):
    """Yields the headers of the batches in `data` from `position` to its end.

    Raises BatchError at the first bytes that are no sound batch, those of a torn last one too.
    """
    cdef Py_ssize_t size = memoryview(data).nbytes
    while position < size:
        header = check_batch(data, position, crc=crc)
        yield header
        position += header.size
