"""The records inside a batch: read, searched and written.

Works on record data that is not compressed: `log/records.py` decompresses before and compresses
after. Every fault in the bytes is KafkaError CORRUPT_MESSAGE with the number of the record; no
size or count from the bytes is believed before it is compared with the bytes left. Any thread may
call everything here. It holds the GIL while it makes Python objects and frees it where it makes
none.
"""

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kstore._native.batch cimport (
    HEADER_SIZE, LOG_OVERHEAD, BatchHeader, Header, write_header,
)
from kstore._native.output cimport Output, out_free, out_room, out_taken

from kstore.errors import ErrorCode, KafkaError

__all__ = [
    "Record",
    "assemble_batch",
    "decode_records",
    "encode_records",
    "find_max_timestamp",
    "find_timestamp",
]

cdef dict REASONS = {
    BAD_COUNT: "the batch is too small for as many records",
    BAD_RECORD: "it is malformed or cut",
    BAD_OFFSET: "its offset does not rise, or is not the batch's",
    BYTES_LEFT: "bytes are left behind the last record",
}


@cython.final
@cython.freelist(32)
cdef class Record:
    """One record of a log: an immutable value.

    `offset` and `timestamp_ms` (milliseconds since 1970) are -1 where there is none yet; `key`
    and `value` may be None; `headers` are pairs of a name and bytes or None. A header name that
    is not UTF-8 is kept by surrogate escapes.
    """

    __match_args__ = ("offset", "timestamp_ms", "key", "value", "headers")

    def __init__(
        self, int64_t offset=-1, int64_t timestamp_ms=-1, bytes key=None, bytes value=None,
        headers=()
    ):
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self.key = key
        self.value = value
        self.headers = tuple(headers)

    cdef tuple _fields(self):
        return (self.offset, self.timestamp_ms, self.key, self.value, self.headers)

    def __eq__(self, other):
        if not isinstance(other, Record):
            return NotImplemented
        return self._fields() == (<Record> other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __reduce__(self):
        return Record, self._fields()

    def __repr__(self):
        return (
            f"Record(offset={self.offset}, timestamp_ms={self.timestamp_ms}, key={self.key!r}, "
            f"value={self.value!r}, headers={self.headers!r})"
        )


cdef object raise_fault(const Walk *walk):
    raise KafkaError(
        ErrorCode.CORRUPT_MESSAGE,
        f"record {walk.index + 1} of {walk.header.record_count} in the batch at offset "
        f"{walk.header.base_offset}: {REASONS[walk.fault]}",
    )


cdef int get_bytes(data, Py_buffer *buffer, Py_ssize_t start, Py_ssize_t end) except -1:
    """Borrows the bytes of `data`, which must have those from `start` to `end`."""
    PyObject_GetBuffer(data, buffer, PyBUF_SIMPLE)
    if not 0 <= start <= end <= buffer.len:
        PyBuffer_Release(buffer)
        raise IndexError(f"no bytes {start} to {end} in {buffer.len}")
    return 0


cdef bytes copied(const unsigned char *data, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *> data, size) if size >= 0 else None


cdef tuple make_headers(Walk *walk):
    """The headers of the record that the walk stands at; their bounds are known to be sound."""
    cdef Cursor cursor = walk.cursor
    cdef const unsigned char *key
    cdef const unsigned char *value
    cdef Py_ssize_t key_size, value_size
    cdef list headers = []
    cursor.position = walk.record.headers_at
    for _ in range(walk.record.header_count):
        read_header_fields(&cursor, &key, &key_size, &value, &value_size)
        if cursor.failed:
            raise RuntimeError("the bytes of a record have changed while they were read")
        name = (<const char *> key)[:key_size].decode("utf-8", "surrogateescape")
        headers.append((name, copied(value, value_size)))
    return tuple(headers)


cdef Record make_record(Walk *walk):
    cdef Record record = Record.__new__(Record)
    record.offset = walk.offset
    record.timestamp_ms = walk.timestamp
    record.key = copied(walk.record.key, walk.record.key_size)
    record.value = copied(walk.record.value, walk.record.value_size)
    record.headers = make_headers(walk) if walk.record.header_count else ()
    return record


def decode_records(
    BatchHeader header not None, data, Py_ssize_t start, Py_ssize_t end,
    int64_t from_offset=0
):
    """The records of the batch `header`, which are data[start:end], from `from_offset` on."""
    cdef Py_buffer buffer
    cdef Walk walk
    cdef list records = []
    get_bytes(data, &buffer, start, end)
    try:
        start_walk(&walk, &header.header, <const unsigned char *> buffer.buf, start, end)
        while next_record(&walk):
            if walk.offset >= from_offset:
                records.append(make_record(&walk))
    finally:
        PyBuffer_Release(&buffer)
    if walk.fault != NO_FAULT:
        raise_fault(&walk)
    return records


def find_timestamp(
    BatchHeader header not None, data, Py_ssize_t start, Py_ssize_t end,
    int64_t timestamp_ms, int64_t from_offset=0
):
    """(timestamp, offset) of the first record from `from_offset` on that is not older, or None."""
    cdef Py_buffer buffer
    cdef Walk walk
    cdef bint found = False
    get_bytes(data, &buffer, start, end)
    try:
        with nogil:
            start_walk(&walk, &header.header, <const unsigned char *> buffer.buf, start, end)
            while not found and next_record(&walk):
                found = walk.timestamp >= timestamp_ms and walk.offset >= from_offset
    finally:
        PyBuffer_Release(&buffer)
    if walk.fault != NO_FAULT:
        raise_fault(&walk)
    return (walk.timestamp, walk.offset) if found else None


def find_max_timestamp(BatchHeader header not None, data, Py_ssize_t start, Py_ssize_t end):
    """(timestamp, offset) of the first record with the largest timestamp, or None without one."""
    cdef Py_buffer buffer
    cdef Walk walk
    cdef int64_t timestamp = 0
    cdef int64_t offset = -1
    get_bytes(data, &buffer, start, end)
    try:
        with nogil:
            start_walk(&walk, &header.header, <const unsigned char *> buffer.buf, start, end)
            while next_record(&walk):
                if offset < 0 or walk.timestamp > timestamp:
                    timestamp = walk.timestamp
                    offset = walk.offset
    finally:
        PyBuffer_Release(&buffer)
    if walk.fault != NO_FAULT:
        raise_fault(&walk)
    return (timestamp, offset) if offset >= 0 else None


cdef bytes as_bytes(data):
    if data is None or type(data) is bytes:
        return <bytes> data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a record is made of bytes or None, not {type(data).__name__}")


cdef list encode_headers(headers):
    """Names and values alike as bytes, one after the other."""
    cdef list encoded = []
    for name, value in headers:
        if not isinstance(name, str):
            raise TypeError(f"a header's name is a str, not {type(name).__name__}")
        encoded.append((<str> name).encode("utf-8", "surrogateescape"))
        encoded.append(as_bytes(value))
    return encoded


cdef int put_record(
    Output *output, int64_t timestamp_delta, int32_t offset_delta, bytes key, bytes value, headers
) except -1:
    cdef list encoded = encode_headers(headers) if headers else None
    cdef Py_ssize_t header_count = len(encoded) // 2 if encoded is not None else 0
    cdef unsigned char *at
    cdef bytes field
    cdef Py_ssize_t size = (
        1 + varint_size(timestamp_delta) + varint_size(offset_delta)
        + sized_size(key) + sized_size(value) + varint_size(header_count)
    )
    if encoded is not None:
        for field in encoded:
            size += sized_size(field)
    if output.size + size > INT32_MAX - HEADER_SIZE - 5:
        raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, "a batch has less than 2 GiB")
    at = out_room(output, varint_size(size) + size)
    at = put_varint(at, size)
    at[0] = 0   # attributes
    at = put_varint(at + 1, timestamp_delta)
    at = put_varint(at, offset_delta)
    at = put_sized(at, key)
    at = put_sized(at, value)
    at = put_varint(at, header_count)
    if encoded is not None:
        for field in encoded:
            at = put_sized(at, field)
    return 0


def encode_records(records, int64_t timestamp_ms=-1):
    """The records one after the other as in a batch, numbered from 0.

    Each is a `Record`, whose offset is not looked at, or a tuple (key, value), (key, value,
    timestamp_ms) or (key, value, timestamp_ms, headers). A timestamp of None or -1 means
    `timestamp_ms`. Returns (bytes, record count, base timestamp, max timestamp).
    """
    cdef Output output = Output(NULL, 0, 0, False)
    cdef Record record
    cdef int64_t base = -1
    cdef int64_t latest = -1
    cdef int64_t timestamp
    cdef int32_t count = 0
    try:
        for item in records:
            if type(item) is Record:
                record = <Record> item
                key, value, headers = record.key, record.value, record.headers
                timestamp = record.timestamp_ms
            else:
                key, value, given, headers = _unpack(item)
                timestamp = -1 if given is None else given
            if timestamp == -1:
                timestamp = timestamp_ms
            if count == 0:
                base = latest = timestamp
            elif timestamp > latest:
                latest = timestamp
            put_record(
                &output, <int64_t> (<uint64_t> timestamp - <uint64_t> base), count,
                as_bytes(key), as_bytes(value), headers,
            )
            count += 1
        return out_taken(&output), count, base, latest
    finally:
        out_free(&output)


cdef tuple _unpack(item):
    cdef Py_ssize_t count = len(item) if isinstance(item, tuple) else 0
    if count == 2:
        return item[0], item[1], None, ()
    if count == 3:
        return item[0], item[1], item[2], ()
    if count == 4:
        return item
    raise TypeError("a record is a Record, or a tuple (key, value[, timestamp_ms[, headers]])")


def assemble_batch(
    records, *, int64_t base_offset, int32_t leader_epoch, int16_t attributes,
    int32_t last_offset_delta, int64_t base_timestamp, int64_t max_timestamp, int64_t producer_id,
    int16_t producer_epoch, int32_t base_sequence, int32_t record_count
):
    """A whole batch: the header, with the CRC of what follows it, and `records` as they are."""
    cdef Py_buffer buffer
    cdef Header header
    cdef bytes batch
    cdef unsigned char *data
    cdef Py_ssize_t size
    PyObject_GetBuffer(records, &buffer, PyBUF_SIMPLE)
    try:
        size = HEADER_SIZE + buffer.len
        if size - LOG_OVERHEAD > INT32_MAX:
            raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, "a batch has less than 2 GiB")
        batch = PyBytes_FromStringAndSize(NULL, size)
        data = <unsigned char *> PyBytes_AS_STRING(batch)
        memcpy(data + HEADER_SIZE, buffer.buf, buffer.len)
    finally:
        PyBuffer_Release(&buffer)
    header.base_offset = base_offset
    header.batch_length = <int32_t> (size - LOG_OVERHEAD)
    header.leader_epoch = leader_epoch
    header.attributes = attributes
    header.last_offset_delta = last_offset_delta
    header.base_timestamp = base_timestamp
    header.max_timestamp = max_timestamp
    header.producer_id = producer_id
    header.producer_epoch = producer_epoch
    header.base_sequence = base_sequence
    header.record_count = record_count
    write_header(data, &header)
    return batch
