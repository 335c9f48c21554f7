"""Batches made of columns: many records at a time, without an object per record.

A column of byte strings is (data, positions, sizes), as `_native/columns` reads them: buffers, the
latter two of int64, a size of -1 for null. They are borrowed as long as the encoder lives, and may
be numpy arrays that somebody else writes to meanwhile: a position or a size is loaded once, and
used only after it was compared with the bytes that are there. Any thread may call everything; an
encoder belongs to one. The GIL is free while records are written.
"""

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from kstore._native.batch cimport HEADER_SIZE, LOG_OVERHEAD, Header, make_header, write_header
from kstore._native.output cimport Output, out_bytes, out_free, out_room, out_taken
from kstore._native.records cimport (
    as_bytes, encode_headers, put_sized, put_varint, sized_size, varint_size,
)

from kstore.errors import ErrorCode, KafkaError

__all__ = ["BatchEncoder", "gather", "pack", "pack_headers"]

cdef enum:
    ITEM_SIZE = 8
    MAX_BUFFER_COUNT = 10          # three columns of three buffers, and the timestamps
    MAX_BATCH_SIZE = 0x7FFFFFFF   # Kafka's batchLength is an int32
    MAX_VARINT_SIZE = 5


cdef struct Column:
    const unsigned char *data
    Py_ssize_t size
    const int64_t *positions
    const int64_t *sizes


# One byte string of a column, checked; its size is -1 for null.
cdef struct Field:
    const unsigned char *data
    Py_ssize_t size


cdef inline bint get_field(const Column *column, Py_ssize_t index, Field *field) noexcept nogil:
    """False if the string does not lie in the column's bytes."""
    cdef int64_t position, size
    field.data = NULL
    field.size = -1
    if column.sizes == NULL:
        return True
    size = column.sizes[index]
    if size < 0:
        return True
    position = column.positions[index]
    if position < 0 or size > column.size or position > column.size - size:
        return False
    field.data = column.data + position
    field.size = size
    return True


cdef inline Py_ssize_t field_size(const Field *field) noexcept nogil:
    return 1 if field.size < 0 else varint_size(field.size) + field.size


cdef inline unsigned char *put_field(unsigned char *at, const Field *field) noexcept nogil:
    if field.size < 0:
        return put_varint(at, -1)
    at = put_varint(at, field.size)
    memcpy(at, field.data, field.size)
    return at + field.size


@cython.final
cdef class Borrowed:
    """The buffers of some columns, held until this is gone."""

    cdef Py_buffer buffers[MAX_BUFFER_COUNT]
    cdef int held

    def __dealloc__(self):
        while self.held:
            self.held -= 1
            PyBuffer_Release(&self.buffers[self.held])

    cdef Py_buffer *hold(self, data) except NULL:
        cdef Py_buffer *buffer = &self.buffers[self.held]
        PyObject_GetBuffer(data, buffer, PyBUF_SIMPLE)
        self.held += 1
        return buffer

    cdef const int64_t *items(self, data, Py_ssize_t count) except NULL:
        cdef Py_buffer *buffer = self.hold(data)
        if buffer.len < count * ITEM_SIZE:
            raise ValueError(f"an array has fewer than {count} items")
        return <const int64_t *> buffer.buf

    cdef int column(self, column, Py_ssize_t count, Column *taken) except -1:
        """Takes over (data, positions, sizes), or None for a column of nulls."""
        cdef Py_buffer *buffer
        memset(taken, 0, sizeof(Column))
        if column is None:
            return 0
        data, positions, sizes = column
        buffer = self.hold(data)
        taken.data = <const unsigned char *> buffer.buf
        taken.size = buffer.len
        taken.positions = self.items(positions, count)
        taken.sizes = self.items(sizes, count)
        return 0


cdef struct Run:
    unsigned char *at
    unsigned char *end
    Py_ssize_t index
    int32_t count
    int64_t base_timestamp
    int64_t max_timestamp
    Py_ssize_t needed      # of the first record, if it does not fit
    bint bad               # the record at `index` does not lie in its bytes


cdef struct Source:
    Column keys
    Column values
    Column headers
    const int64_t *timestamps
    int64_t timestamp_ms


cdef inline bint put_record(const Source *source, Run *run) noexcept nogil:
    """Writes the record at the run's index; False if it does not fit, or is bad."""
    cdef Field key, value, headers
    cdef int64_t timestamp = -1, delta = 0
    cdef Py_ssize_t size
    cdef unsigned char *at
    if not (
        get_field(&source.keys, run.index, &key)
        and get_field(&source.values, run.index, &value)
        and get_field(&source.headers, run.index, &headers)
    ):
        run.bad = True
        return False
    if source.timestamps != NULL:
        timestamp = source.timestamps[run.index]
    if timestamp == -1:
        timestamp = source.timestamp_ms
    if run.count > 0:
        delta = <int64_t> (<uint64_t> timestamp - <uint64_t> run.base_timestamp)
    size = (
        1 + varint_size(delta) + varint_size(run.count) + field_size(&key) + field_size(&value)
        + (1 if headers.size < 0 else headers.size)
    )
    if size > run.end - run.at - MAX_VARINT_SIZE:
        run.needed = size + MAX_VARINT_SIZE
        return False
    at = put_varint(run.at, size)
    at[0] = 0   # attributes
    at = put_varint(at + 1, delta)
    at = put_varint(at, run.count)
    at = put_field(at, &key)
    at = put_field(at, &value)
    if headers.size < 0:
        at[0] = 0
        run.at = at + 1
    else:
        memcpy(at, headers.data, headers.size)
        run.at = at + headers.size
    if run.count == 0:
        run.base_timestamp = run.max_timestamp = timestamp
    elif timestamp > run.max_timestamp:
        run.max_timestamp = timestamp
    run.count += 1
    run.index += 1
    return True

@cython.final
cdef class BatchEncoder:
    """Makes batches of the records 0 to `count`, one after the other.

    `headers` holds what `pack_headers` gives. A record without a timestamp (`timestamps` is None,
    or has -1 for it) gets `timestamp_ms`.
    """

    cdef Borrowed borrowed
    cdef Py_ssize_t count
    cdef Py_ssize_t index
    cdef Source source

    def __cinit__(
        self, Py_ssize_t count, *, values=None, keys=None, headers=None, timestamps=None,
        int64_t timestamp_ms=-1
    ):
        self.count = count
        self.source.timestamp_ms = timestamp_ms
        self.borrowed = Borrowed()
        self.borrowed.column(values, count, &self.source.values)
        self.borrowed.column(keys, count, &self.source.keys)
        self.borrowed.column(headers, count, &self.source.headers)
        if timestamps is not None:
            self.source.timestamps = self.borrowed.items(timestamps, count)

    cdef bytes encode(self, Py_ssize_t capacity, Run *result):
        """Records from `index` on in a batch of at most `capacity` bytes, whose header is blank."""
        cdef bytes batch = PyBytes_FromStringAndSize(NULL, capacity)
        cdef unsigned char *data = <unsigned char *> PyBytes_AS_STRING(batch)
        cdef Source source = self.source   # local, so that the compiler can keep it in registers
        cdef Run run
        run.at = data + HEADER_SIZE
        run.end = data + capacity
        run.index = self.index
        run.count = 0
        run.base_timestamp = run.max_timestamp = -1
        run.needed = 0
        run.bad = False
        with nogil:
            while run.index < self.count and put_record(&source, &run):
                pass
        result[0] = run
        return batch

    def next_batch(self, Py_ssize_t max_size):
        """The next batch, as a client would send it, of at most `max_size` bytes, or of one record:
        (its bytes, its header).

        None if no record is left. Raises ValueError for a string that does not lie in the bytes of
        its column, KafkaError RECORD_LIST_TOO_LARGE for a record that no batch can hold.
        """
        cdef Run run
        cdef Header header
        cdef Py_ssize_t size
        cdef bytes batch
        if self.index >= self.count:
            return None
        size = min(max(max_size, HEADER_SIZE), MAX_BATCH_SIZE)
        batch = self.encode(size, &run)
        if run.count == 0 and run.needed > 0:
            if run.needed > MAX_BATCH_SIZE - HEADER_SIZE:
                raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, "a batch has less than 2 GiB")
            batch = self.encode(HEADER_SIZE + run.needed, &run)
        if run.bad:
            raise ValueError(f"record {run.index} does not lie in the bytes of its columns")
        if run.count == 0:
            raise RuntimeError("the columns have changed while they were read")
        size = run.at - <unsigned char *> PyBytes_AS_STRING(batch)
        header.base_offset = 0
        header.batch_length = <int32_t> (size - LOG_OVERHEAD)
        header.leader_epoch = -1
        header.attributes = 0
        header.last_offset_delta = run.count - 1
        header.base_timestamp = run.base_timestamp
        header.max_timestamp = run.max_timestamp
        header.producer_id = -1
        header.producer_epoch = -1
        header.base_sequence = -1
        header.record_count = run.count
        write_header(<unsigned char *> PyBytes_AS_STRING(batch), &header)
        self.index = run.index
        return memoryview(batch)[:size], make_header(&header, 0)


def gather(column, Py_ssize_t count, target):
    """Copies the first `count` strings of a column, one after the other, into `target`.

    Raises ValueError if they are not exactly as long, or don't lie in the bytes of the column.
    """
    cdef Borrowed borrowed = Borrowed()
    cdef Column strings
    cdef Field field
    cdef Py_buffer buffer
    cdef unsigned char *at
    cdef Py_ssize_t left, index = 0
    borrowed.column(column, count, &strings)
    PyObject_GetBuffer(target, &buffer, PyBUF_WRITABLE)
    try:
        at = <unsigned char *> buffer.buf
        left = buffer.len
        with nogil:
            while index < count and get_field(&strings, index, &field) and field.size <= left:
                if field.size > 0:
                    memcpy(at, field.data, field.size)
                    at += field.size
                    left -= field.size
                index += 1
    finally:
        PyBuffer_Release(&buffer)
    if index < count or left != 0:
        raise ValueError(f"string {index} does not lie in the bytes of its column, or in the target")


def pack(strings, table):
    """The bytes of `strings`, each bytes or None, one after the other.

    `table`, of two rows of int64, gets the position and the size of each, -1 for None.
    """
    return pack_each(strings, table, False)


def pack_headers(headers, table):
    """As `pack`, for the headers of records as they stand in a batch: None, or (name, value) pairs
    for each."""
    return pack_each(headers, table, True)


cdef bytes pack_each(items, table, bint as_headers):
    cdef Output output = Output(NULL, 0, 0, False)
    cdef Py_buffer buffer
    cdef int64_t *row
    cdef Py_ssize_t count = 0, capacity
    cdef bytes packed
    PyObject_GetBuffer(table, &buffer, PyBUF_WRITABLE)
    try:
        row = <int64_t *> buffer.buf
        capacity = buffer.len // (2 * ITEM_SIZE)
        for item in items:
            if count == capacity:
                raise ValueError(f"there are more than {capacity} items")
            row[count] = output.size
            if item is None:
                row[capacity + count] = -1
            elif as_headers:
                put_headers(&output, item)
                row[capacity + count] = output.size - row[count]
            else:
                packed = as_bytes(item)
                row[capacity + count] = PyBytes_GET_SIZE(packed)
                if packed:   # room for nothing may be nowhere, which is an error
                    out_bytes(&output, PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed))
            count += 1
        if count != capacity:
            raise ValueError(f"there are {count} items, not {capacity}")
        return out_taken(&output)
    finally:
        out_free(&output)
        PyBuffer_Release(&buffer)


cdef int put_headers(Output *output, headers) except -1:
    """The headers of one record with their count before them."""
    cdef list encoded = encode_headers(headers)
    cdef bytes field
    cdef unsigned char *at
    cdef Py_ssize_t count = len(encoded) // 2
    put_varint(out_room(output, varint_size(count)), count)
    for field in encoded:
        at = out_room(output, sized_size(field))
        put_sized(at, field)
    return 0
