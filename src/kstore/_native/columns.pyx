"""Records as columns: the batches of a log read into arrays, without an object per record.

Arrays come in as buffers that the caller allocated (numpy's); data and positions in them are
borrowed for the call. `log/columns.py` makes the arrays and decompresses. A table is eight rows of
int64, one item per record in each:

    offset, timestamp (ms), key position, key size, value position, value size, position of the
    first header, header count

Positions are in the data that was read; a size of -1 is null. No size, count or position is used
before it is compared with the bytes that are there. Any thread may call everything; the GIL is free
while records are walked.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport INT64_MAX, int32_t, int64_t

from kstore._native.batch cimport (
    CODEC_MASK, CONTROL_BIT, HEADER_SIZE, LOG_OVERHEAD, SOUND, TORN, Header, check_bytes,
    last_offset_of, wrapping_sum,
)
from kstore._native.cursor cimport Cursor, cursor_over
from kstore._native.records cimport (
    BAD_COUNT, BAD_OFFSET, MIN_RECORD_SIZE, NO_FAULT, Walk, next_record, raise_fault,
    read_header_fields, start_walk,
)

from kstore._native.batch import BatchError
from kstore.errors import ErrorCode, KafkaError

__all__ = ["ROW_COUNT", "fill_table", "read_record_headers", "survey"]

cdef enum:
    ROWS = 8
    ITEM_SIZE = 8

ROW_COUNT = <int> ROWS


def survey(data, Py_ssize_t max_size, Py_ssize_t max_count, *, bint crc=True):
    """How much of `data`, which begins with a batch, is to be read: (size, count, compressed).

    `size` is that of the first batches that have `max_size` bytes together at most, or of the first
    alone; the one that reaches `max_count` records is the last. `count` is no less than their
    records; `compressed` says whether any of them is. What stands before a torn or damaged batch
    counts; raises BatchError if that is the first.
    """
    cdef Py_buffer buffer
    cdef Header header
    cdef Py_ssize_t size = 0, batch_size, count = 0
    cdef bint compressed = False
    cdef int fault = SOUND
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        with nogil:
            while size < buffer.len and count < max_count:
                fault = check_bytes(
                    <const unsigned char *> buffer.buf + size, buffer.len - size, crc, &header
                )
                if fault != SOUND:
                    break
                batch_size = LOG_OVERHEAD + <Py_ssize_t> header.batch_length
                if size > 0 and batch_size > max_size - size:
                    break
                # A count that the bytes can't hold is a fault, which `fill_table` finds.
                if header.attributes & CODEC_MASK:
                    compressed = True
                elif 0 < header.record_count <= (batch_size - HEADER_SIZE) // MIN_RECORD_SIZE:
                    count += header.record_count
                size += batch_size
    finally:
        PyBuffer_Release(&buffer)
    if size == 0:
        raise BatchError(0, fault if fault != SOUND else TORN)
    return size, count, compressed


cdef struct Fill:
    const unsigned char *data
    Py_ssize_t end
    int64_t from_offset
    int64_t *table
    Py_ssize_t capacity
    Py_ssize_t count         # records in the table
    Py_ssize_t position      # of the next batch
    int64_t next_offset      # the first offset that was not looked at
    bint full


cdef inline void put_row(Fill *fill, Py_ssize_t index, const Walk *walk) noexcept nogil:
    cdef int64_t *item = fill.table + index
    cdef Py_ssize_t step = fill.capacity
    item[0] = walk.offset
    item[step] = walk.timestamp
    item[2 * step] = walk.record.key - fill.data if walk.record.key_size >= 0 else 0
    item[3 * step] = walk.record.key_size
    item[4 * step] = walk.record.value - fill.data if walk.record.value_size >= 0 else 0
    item[5 * step] = walk.record.value_size
    item[6 * step] = walk.record.headers_at
    item[7 * step] = walk.record.header_count


cdef bint follows(const Fill *fill, const Header *header) noexcept nogil:
    """Do the batch's offsets lie above those before it, and in the range of offsets?"""
    return (
        header.last_offset_delta >= 0
        and header.base_offset <= INT64_MAX - 1 - header.last_offset_delta
        and last_offset_of(header) >= fill.next_offset
        and (fill.position == 0 or header.base_offset >= fill.next_offset)
    )


cdef void fill_batch(Fill *fill, const Header *header, Py_ssize_t end, Walk *walk) noexcept nogil:
    """Puts the records of one batch into the table: all, or those that fit, or at a fault none."""
    cdef Py_ssize_t index = fill.count
    start_walk(walk, header, fill.data, fill.position + HEADER_SIZE, end)
    if not follows(fill, header):
        walk.fault = BAD_OFFSET
    while next_record(walk):
        if walk.offset < fill.from_offset:
            continue
        if index == fill.capacity:
            fill.full = True
            fill.next_offset = walk.offset
            break
        put_row(fill, index, walk)
        index += 1
    if walk.fault == NO_FAULT:
        fill.count = index


cdef void fill_batches(Fill *fill, Walk *walk) noexcept nogil:
    cdef Header header
    cdef Py_ssize_t end
    walk.fault = NO_FAULT
    while fill.position < fill.end and not fill.full:
        if check_bytes(
            fill.data + fill.position, fill.end - fill.position, False, &header
        ) != SOUND or header.attributes & CODEC_MASK:
            start_walk(walk, &header, fill.data, 0, 0)
            walk.fault = BAD_COUNT
            return
        end = fill.position + LOG_OVERHEAD + <Py_ssize_t> header.batch_length
        if header.attributes & CONTROL_BIT:
            start_walk(walk, &header, fill.data, 0, 0)
            walk.fault = NO_FAULT if follows(fill, &header) else BAD_OFFSET
        else:
            fill_batch(fill, &header, end, walk)
        if walk.fault != NO_FAULT:
            return
        fill.position = end
        if not fill.full:
            fill.next_offset = last_offset_of(&header) + 1


def fill_table(data, Py_ssize_t size, int64_t from_offset, table):
    """Reads the records in data[:size], whole batches of plain records, from `from_offset` on.

    `table` is filled as far as it goes. Returns (count, next offset): how many records came, and
    the offset to go on from. Control records are passed over. What stands before a malformed batch
    comes; raises KafkaError CORRUPT_MESSAGE if that is the first.
    """
    cdef Py_buffer source, target
    cdef Fill fill
    cdef Walk walk
    PyObject_GetBuffer(data, &source, PyBUF_SIMPLE)
    try:
        if not 0 <= size <= source.len:
            raise IndexError(f"no {size} bytes in {source.len}")
        PyObject_GetBuffer(table, &target, PyBUF_WRITABLE)
        try:
            fill.data = <const unsigned char *> source.buf
            fill.end = size
            fill.from_offset = fill.next_offset = from_offset
            fill.table = <int64_t *> target.buf
            fill.capacity = target.len // (ROWS * ITEM_SIZE)
            fill.count = fill.position = 0
            fill.full = False
            with nogil:
                fill_batches(&fill, &walk)
        finally:
            PyBuffer_Release(&target)
    finally:
        PyBuffer_Release(&source)
    if walk.fault != NO_FAULT and fill.position == 0:
        raise_fault(&walk)
    return fill.count, fill.next_offset


def read_record_headers(data, Py_ssize_t position, int32_t count):
    """The `count` headers that stand from `position` of `data` on: (name, value) pairs.

    Raises KafkaError CORRUPT_MESSAGE if they don't.
    """
    cdef Py_buffer buffer
    cdef Cursor cursor
    cdef const unsigned char *key
    cdef const unsigned char *value
    cdef Py_ssize_t key_size, value_size
    cdef list headers = []
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        cursor = cursor_over(&buffer, position, False)
        for _ in range(count):
            read_header_fields(&cursor, &key, &key_size, &value, &value_size)
            if cursor.failed:
                raise KafkaError(
                    ErrorCode.CORRUPT_MESSAGE, f"position {position}: no {count} headers"
                )
            name = (<const char *> key)[:key_size].decode("utf-8", "surrogateescape")
            headers.append((name, (<const char *> value)[:value_size] if value_size >= 0 else None))
    finally:
        PyBuffer_Release(&buffer)
    return tuple(headers)
