"""The layout of a record batch (magic 2) and its header as C values.

Kafka's `DefaultRecordBatch`; the table stands in docs/formats. Each position is derived from the
one before it, so that the table can be read from top to bottom.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t

cdef enum:
    BASE_OFFSET_AT = 0
    BATCH_LENGTH_AT = BASE_OFFSET_AT + 8
    LEADER_EPOCH_AT = BATCH_LENGTH_AT + 4
    MAGIC_AT = LEADER_EPOCH_AT + 4
    CRC_AT = MAGIC_AT + 1
    ATTRIBUTES_AT = CRC_AT + 4
    LAST_OFFSET_DELTA_AT = ATTRIBUTES_AT + 2
    BASE_TIMESTAMP_AT = LAST_OFFSET_DELTA_AT + 4
    MAX_TIMESTAMP_AT = BASE_TIMESTAMP_AT + 8
    PRODUCER_ID_AT = MAX_TIMESTAMP_AT + 8
    PRODUCER_EPOCH_AT = PRODUCER_ID_AT + 8
    BASE_SEQUENCE_AT = PRODUCER_EPOCH_AT + 2
    RECORD_COUNT_AT = BASE_SEQUENCE_AT + 4
    HEADER_SIZE = RECORD_COUNT_AT + 4

    LOG_OVERHEAD = LEADER_EPOCH_AT        # bytes that batchLength does not count
    MIN_LEGACY_LENGTH = 14                # the smallest batchLength of any magic; below is noise
    CHECKSUMMED_AT = ATTRIBUTES_AT        # the CRC covers all from here to the end

    CODEC_MASK = 0x07
    LOG_APPEND_TIME_BIT = 0x08
    TRANSACTIONAL_BIT = 0x10
    CONTROL_BIT = 0x20
    DELETE_HORIZON_BIT = 0x40

# What `check_bytes` finds. The first two mean "no whole batch here", the others "not a batch".
cdef enum:
    SOUND = 0
    TORN = 1          # the bytes end inside the batch
    BAD_LENGTH = 2    # batchLength is less than any batch has
    OLD_MAGIC = 3     # a message set of magic 0 or 1
    BAD_MAGIC = 4
    BAD_CRC = 5

ctypedef struct Header:
    int64_t base_offset
    int32_t batch_length
    int32_t leader_epoch
    int8_t magic
    uint32_t crc
    int16_t attributes
    int32_t last_offset_delta
    int64_t base_timestamp
    int64_t max_timestamp
    int64_t producer_id
    int16_t producer_epoch
    int32_t base_sequence
    int32_t record_count

cdef inline int64_t wrapping_sum(int64_t one, int64_t other) noexcept nogil:
    """The sum as Java makes it: numbers from outside may overflow, which C leaves undefined."""
    return <int64_t> (<uint64_t> one + <uint64_t> other)


cdef inline int64_t last_offset_of(const Header *header) noexcept nogil:
    return wrapping_sum(header.base_offset, header.last_offset_delta)


cdef void read_header(const unsigned char *data, Header *header) noexcept nogil
cdef void write_header(unsigned char *batch, Header *header) noexcept nogil
cdef uint32_t checksum(const unsigned char *batch, Py_ssize_t size) noexcept nogil
cdef uint32_t checksum_apart(
    const unsigned char *header, const unsigned char *records, Py_ssize_t records_size
) noexcept nogil
cdef int check_bytes(
    const unsigned char *data, Py_ssize_t left, bint verify_crc, Header *header
) noexcept nogil


cdef class BatchHeader:
    cdef Header header
    cdef readonly Py_ssize_t position
    cdef readonly Py_ssize_t size
    # The attributes or the max timestamp are to be other than those of the bytes the header was
    # read from: whoever copies the batch writes them, and a new CRC.
    cdef bint rewritten


cdef BatchHeader make_header(const Header *header, Py_ssize_t position)
