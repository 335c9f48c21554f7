"""Looking through the bytes of a segment: finding batches, checking them after a crash.

No policy and no system call: `log/` hands in maps and what it has read. What may be a map is looked
at under a guard, so that a disk that fails under it is an OSError here. Any thread may call these
functions; the long one, `check_run`, frees the GIL.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport INT64_MIN, int32_t, int64_t
from libc.string cimport memcpy

from kstore._native.batch cimport (
    BASE_OFFSET_AT,
    BATCH_LENGTH_AT,
    HEADER_SIZE,
    LAST_OFFSET_DELTA_AT,
    LOG_OVERHEAD,
    MAX_TIMESTAMP_AT,
    SOUND,
    Header,
    check_bytes,
    last_offset_of,
    make_header,
    read_header,
    wrapping_sum,
)
from kstore._native.big_endian cimport load32, load64
from kstore._native.guard cimport guarded
from kstore._native.index cimport SegmentIndexer

__all__ = [
    "BACKWARDS",
    "check_run",
    "copy_out",
    "find_batch",
    "find_newer",
    "index_run",
    "is_zero",
    "read_headers",
]

globals().update(BACKWARDS=<int> BACKWARDS)


cdef void search_batch(void *arguments) noexcept nogil:
    """Walks headers up to the first batch that ends at or after `offset` and is not older than
    `timestamp`. Stops where no whole header is left."""
    cdef Search *search = <Search *> arguments
    cdef const unsigned char *batch
    cdef int32_t length
    while search.end - search.position >= HEADER_SIZE:
        batch = search.data + search.position
        length = load32(batch + BATCH_LENGTH_AT)
        if length < HEADER_SIZE - LOG_OVERHEAD:
            search.corrupt = True
            return
        if (
            wrapping_sum(
                load64(batch + BASE_OFFSET_AT), load32(batch + LAST_OFFSET_DELTA_AT)
            ) >= search.offset
            and load64(batch + MAX_TIMESTAMP_AT) >= search.timestamp
        ):
            search.size = LOG_OVERHEAD + <Py_ssize_t> length
            return
        search.position += LOG_OVERHEAD + <Py_ssize_t> length


cdef tuple run_search(
    data, Py_ssize_t position, Py_ssize_t end, int64_t offset, int64_t timestamp
):
    cdef Py_buffer buffer
    cdef Search search
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        search.data = <const unsigned char *> buffer.buf
        search.position = position if position > 0 else 0
        search.end = min(max(end, 0), buffer.len)
        search.offset = offset
        search.timestamp = timestamp
        search.size = 0
        search.corrupt = False
        guarded(search_batch, &search)
    finally:
        PyBuffer_Release(&buffer)
    return search.position, -1 if search.corrupt else search.size


def find_batch(data, Py_ssize_t position, Py_ssize_t end, int64_t offset):
    """Where the batch that holds `offset`, or the first one after it, begins, and its size.

    Looks at the headers in data[position:end], of which the first begins at `position`. A size of
    0 means: not found up to that place, where the next header would begin; -1: no batch there.
    """
    return run_search(data, position, end, offset, INT64_MIN)


def find_newer(data, Py_ssize_t position, Py_ssize_t end, int64_t timestamp_ms):
    """As `find_batch`, for the first batch whose max timestamp is not below `timestamp_ms`."""
    return run_search(data, position, end, INT64_MIN, timestamp_ms)


def check_run(data, int64_t base_offset, int64_t next_offset):
    """How far `data` holds sound batches that follow each other; the GIL is free meanwhile.

    The offsets have to be at or above `next_offset`, rise, and stay within 2**31 of the segment's
    `base_offset`. Returns (position, next offset, fault): the fault at that position is one of
    `_native.batch`, BACKWARDS, or 0 at the end of the data.
    """
    cdef Py_buffer buffer
    cdef Header header
    cdef const unsigned char *bytes
    cdef Py_ssize_t position = 0
    cdef int fault = SOUND
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        bytes = <const unsigned char *> buffer.buf
        with nogil:
            while position < buffer.len:
                fault = check_bytes(bytes + position, buffer.len - position, True, &header)
                if fault != SOUND:
                    break
                if not follows(&header, base_offset, next_offset):
                    fault = BACKWARDS
                    break
                next_offset = last_offset_of(&header) + 1
                position += LOG_OVERHEAD + <Py_ssize_t> header.batch_length
    finally:
        PyBuffer_Release(&buffer)
    return position, next_offset, fault


def index_run(
    data, Py_ssize_t end, Py_ssize_t file_position, SegmentIndexer indexer not None,
    int32_t leader_epoch,
):
    """Notes the batches data[:end], known to be sound, in `indexer`.

    `file_position` is where data[0] stands in the segment. Returns (leader epoch, base offset) for
    each batch that begins an epoch above `leader_epoch` and those before it.
    """
    cdef Py_buffer buffer
    cdef Header header
    cdef const unsigned char *bytes
    cdef Py_ssize_t position = 0
    cdef list epochs = []
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        bytes = <const unsigned char *> buffer.buf
        if not 0 <= end <= buffer.len:
            raise ValueError(f"no {end} bytes in {buffer.len}")
        while end - position >= HEADER_SIZE:
            read_header(bytes + position, &header)
            if header.batch_length < HEADER_SIZE - LOG_OVERHEAD:
                break
            indexer.note(&header, file_position + position)
            if header.leader_epoch > leader_epoch:
                leader_epoch = header.leader_epoch
                epochs.append((leader_epoch, header.base_offset))
            position += LOG_OVERHEAD + <Py_ssize_t> header.batch_length
    finally:
        PyBuffer_Release(&buffer)
    return epochs


def read_headers(data, Py_ssize_t file_position):
    """The headers that stand whole in `data`, which begins with one, at `file_position`.

    Fewer than there are, perhaps none, if one of them can't be the header of a batch.
    """
    cdef Py_buffer buffer
    cdef Header header
    cdef Py_ssize_t position = 0
    cdef list headers = []
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        while buffer.len - position >= HEADER_SIZE:
            read_header(<const unsigned char *> buffer.buf + position, &header)
            if header.magic != 2 or header.batch_length < HEADER_SIZE - LOG_OVERHEAD:
                break
            headers.append(make_header(&header, file_position + position))
            position += LOG_OVERHEAD + <Py_ssize_t> header.batch_length
    finally:
        PyBuffer_Release(&buffer)
    return headers


def is_zero(data, Py_ssize_t start=0):
    """Are all bytes of data[start:] zero, as where nothing was ever written?"""
    cdef Py_buffer buffer
    cdef const unsigned char *bytes
    cdef Py_ssize_t position
    cdef unsigned char seen = 0
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        bytes = <const unsigned char *> buffer.buf
        for position in range(start if start > 0 else 0, buffer.len):
            seen |= bytes[position]
    finally:
        PyBuffer_Release(&buffer)
    return seen == 0


cdef struct Copy:
    char *to
    const void *data
    Py_ssize_t size


cdef void copy_bytes(void *arguments) noexcept nogil:
    cdef Copy *copy = <Copy *> arguments
    memcpy(copy.to, copy.data, copy.size)


def copy_out(data):
    """A copy of bytes that may lie in a map."""
    cdef Py_buffer buffer
    cdef Copy copy
    cdef bytes copied
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        copied = PyBytes_FromStringAndSize(NULL, buffer.len)
        copy.to = PyBytes_AS_STRING(copied)
        copy.data = buffer.buf
        copy.size = buffer.len
        guarded(copy_bytes, &copy)
    finally:
        PyBuffer_Release(&buffer)
    return copied
