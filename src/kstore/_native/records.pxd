"""One record of a batch as C values, and the varints that records are made of.

Kafka's `DefaultRecord`; the table stands in docs/formats/record-batch.md. A record is read through
a `Cursor`, whose failure is sticky.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kstore._native.batch cimport LOG_APPEND_TIME_BIT, Header, wrapping_sum
from kstore._native.cursor cimport Cursor, read_base_128, read_int8, read_unsigned_varint, take

cdef enum:
    MIN_RECORD_SIZE = 7   # size, attributes, two deltas, two null sizes, no headers
    MIN_HEADER_SIZE = 2   # an empty key, a null value


ctypedef struct RecordView:
    int64_t timestamp_delta
    int32_t offset_delta
    const unsigned char *key
    Py_ssize_t key_size          # -1 for null
    const unsigned char *value
    Py_ssize_t value_size        # -1 for null
    int32_t header_count
    Py_ssize_t headers_at        # position of the first header in the cursor's bytes


cdef inline int32_t read_varint(Cursor *cursor) noexcept nogil:
    """A zig-zag varint of at most five bytes."""
    cdef uint32_t value = read_unsigned_varint(cursor)
    return <int32_t> (value >> 1) ^ -<int32_t> (value & 1)


cdef inline int64_t read_varlong(Cursor *cursor) noexcept nogil:
    """A zig-zag varint of at most ten bytes."""
    cdef uint64_t value = read_base_128(cursor, 10)
    return <int64_t> (value >> 1) ^ -<int64_t> (value & 1)


cdef inline const unsigned char *read_sized(Cursor *cursor, Py_ssize_t *size) noexcept nogil:
    """A byte field after its size, or NULL and size -1 for null: any negative size, as in Kafka."""
    size[0] = read_varint(cursor)
    if size[0] < 0:
        size[0] = -1
        return NULL
    return take(cursor, size[0])


cdef inline void read_header_fields(
    Cursor *cursor, const unsigned char **key, Py_ssize_t *key_size,
    const unsigned char **value, Py_ssize_t *value_size
) noexcept nogil:
    key[0] = read_sized(cursor, key_size)
    if key_size[0] < 0:
        cursor.failed = True
    value[0] = read_sized(cursor, value_size)


cdef inline void read_record(Cursor *cursor, RecordView *record) noexcept nogil:
    """Reads one record up to its last header. A record that is not exactly as long as it says
    fails the cursor."""
    cdef Cursor inside = cursor[0]   # a copy, which the compiler can keep in registers
    cdef Py_ssize_t size = read_varint(&inside)
    cdef const unsigned char *key
    cdef const unsigned char *value
    cdef Py_ssize_t key_size, value_size
    cdef int32_t left
    if inside.failed or size < 0 or size > inside.end - inside.position:
        cursor.failed = True
        return
    inside.end = inside.position + size
    read_int8(&inside)   # attributes: no bit of them is in use
    record.timestamp_delta = read_varlong(&inside)
    record.offset_delta = read_varint(&inside)
    record.key = read_sized(&inside, &record.key_size)
    record.value = read_sized(&inside, &record.value_size)
    record.header_count = read_varint(&inside)
    record.headers_at = inside.position
    left = record.header_count
    if left < 0 or <Py_ssize_t> left * MIN_HEADER_SIZE > inside.end - inside.position:
        inside.failed = True
    while left > 0 and not inside.failed:
        read_header_fields(&inside, &key, &key_size, &value, &value_size)
        left -= 1
    if inside.position != inside.end:
        inside.failed = True
    cursor.position = inside.position
    cursor.failed = inside.failed


cdef enum WalkFault:
    NO_FAULT = 0
    BAD_COUNT = 1       # more records than bytes could hold, or fewer than none
    BAD_RECORD = 2
    BAD_OFFSET = 3      # offsets don't rise, or leave the batch
    BYTES_LEFT = 4


# The way through the records of one batch: `next_record` moves it to the next one.
ctypedef struct Walk:
    Cursor cursor
    Header header
    RecordView record
    int32_t index        # of the record that comes next
    int32_t last_delta
    int64_t offset
    int64_t timestamp
    int fault


cdef inline void start_walk(
    Walk *walk, const Header *header, const unsigned char *data, Py_ssize_t start, Py_ssize_t end
) noexcept nogil:
    """Begins at the first record of the batch `header`, whose records are data[start:end]."""
    walk.cursor.data = data
    walk.cursor.position = start
    walk.cursor.end = end
    walk.cursor.flexible = False
    walk.cursor.failed = False
    walk.header = header[0]
    walk.index = 0
    walk.last_delta = -1
    walk.fault = NO_FAULT
    if header.record_count < 0 or <int64_t> header.record_count * MIN_RECORD_SIZE > end - start:
        walk.fault = BAD_COUNT


cdef inline bint next_record(Walk *walk) noexcept nogil:
    """Moves to the next record. False at the end, and at a fault, which `walk.fault` then names."""
    if walk.fault != NO_FAULT:
        return False
    if walk.index == walk.header.record_count:
        if walk.cursor.position != walk.cursor.end:
            walk.fault = BYTES_LEFT
        return False
    read_record(&walk.cursor, &walk.record)
    if walk.cursor.failed:
        walk.fault = BAD_RECORD
        return False
    if (
        walk.record.offset_delta <= walk.last_delta
        or walk.record.offset_delta > walk.header.last_offset_delta
    ):
        walk.fault = BAD_OFFSET
        return False
    walk.index += 1
    walk.last_delta = walk.record.offset_delta
    walk.offset = wrapping_sum(walk.header.base_offset, walk.last_delta)
    if walk.header.attributes & LOG_APPEND_TIME_BIT:
        walk.timestamp = walk.header.max_timestamp
    else:
        walk.timestamp = wrapping_sum(walk.header.base_timestamp, walk.record.timestamp_delta)
    return True


cdef inline uint64_t zigzag(int64_t value) noexcept nogil:
    return (<uint64_t> value << 1) ^ <uint64_t> (value >> 63)


cdef inline Py_ssize_t varint_size(int64_t value) noexcept nogil:
    """Bytes of a zig-zag varint; an int32 has the same bytes as a varint and as a varlong."""
    cdef uint64_t rest = zigzag(value) >> 7
    cdef Py_ssize_t size = 1
    while rest:
        rest >>= 7
        size += 1
    return size


cdef inline unsigned char *put_varint(unsigned char *at, int64_t value) noexcept nogil:
    cdef uint64_t rest = zigzag(value)
    while rest >= 0x80:
        at[0] = <unsigned char> (rest & 0x7F | 0x80)
        at += 1
        rest >>= 7
    at[0] = <unsigned char> rest
    return at + 1


cdef inline Py_ssize_t sized_size(bytes data) noexcept:
    """What a byte field takes with its size before it."""
    if data is None:
        return 1
    return varint_size(PyBytes_GET_SIZE(data)) + PyBytes_GET_SIZE(data)


cdef inline unsigned char *put_sized(unsigned char *at, bytes data) noexcept:
    cdef Py_ssize_t size
    if data is None:
        return put_varint(at, -1)
    size = PyBytes_GET_SIZE(data)
    at = put_varint(at, size)
    memcpy(at, PyBytes_AS_STRING(data), size)
    return at + size


cdef object raise_fault(const Walk *walk)
cdef bytes as_bytes(data)
cdef list encode_headers(headers)


cdef class Record:
    cdef readonly int64_t offset
    cdef readonly int64_t timestamp_ms
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly tuple headers

    cdef tuple _fields(self)
