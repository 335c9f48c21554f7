"""The bytes of a segment: appending to its map, finding batches, walking it after a crash.

No policy and no system call: `log/segment.py` hands in maps and buffers, `log/roll.py` decides what
to do when a batch does not fit. All work on a map runs under the guard of guard.h, so that a disk
that fails under it is an OSError here. A `SegmentWriter` belongs to the thread of its log; the
functions may be called on any thread, and the long one, `check_run`, frees the GIL.
"""

import errno

import cython
from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport INT32_MAX, INT64_MAX, INT64_MIN, int32_t, int64_t
from libc.string cimport memcpy, memset

from kstore._native.batch cimport (
    ATTRIBUTES_AT,
    BASE_OFFSET_AT,
    BATCH_LENGTH_AT,
    CRC_AT,
    HEADER_SIZE,
    LAST_OFFSET_DELTA_AT,
    LEADER_EPOCH_AT,
    LOG_OVERHEAD,
    MAX_TIMESTAMP_AT,
    SOUND,
    BatchHeader,
    Header,
    check_bytes,
    checksum,
    last_offset_of,
    make_header,
    read_header,
    wrapping_sum,
)
from kstore._native.big_endian cimport load32, load64, store16, store32, store64
from kstore._native.index cimport SegmentIndexer

cdef extern from "guard.h" nogil:
    int kstore_guard_install()
    int kstore_guarded(void (*work)(void *) noexcept nogil, void *arguments)

__all__ = [
    "BACKWARDS",
    "FITS",
    "GROW",
    "ROLL",
    "SPILL",
    "SegmentWriter",
    "check_run",
    "find_batch",
    "find_newer",
    "index_run",
    "is_zero",
    "read_headers",
]

cdef enum:
    FITS = 0
    GROW = 1     # the map ends before the batch would
    ROLL = 2     # the batch belongs into a new segment
    SPILL = 3    # a page of index entries is to be moved to its file

    SPILL_COUNT = 512

    BACKWARDS = 32   # the offsets of a batch are not above those before it, or far beyond

globals().update(
    FITS=<int> FITS, GROW=<int> GROW, ROLL=<int> ROLL, SPILL=<int> SPILL, BACKWARDS=<int> BACKWARDS
)


cdef struct Copy:
    unsigned char *to
    const unsigned char *data
    const Header *header
    Py_ssize_t size
    bint rewritten


cdef void copy_batch(void *arguments) noexcept nogil:
    """Puts a batch in place with its final offset and epoch: the one copy of an append."""
    cdef Copy *copy = <Copy *> arguments
    memcpy(copy.to, copy.data, copy.size)
    store64(copy.to + BASE_OFFSET_AT, copy.header.base_offset)
    store32(copy.to + LEADER_EPOCH_AT, copy.header.leader_epoch)
    if copy.rewritten:
        store16(copy.to + ATTRIBUTES_AT, copy.header.attributes)
        store64(copy.to + MAX_TIMESTAMP_AT, copy.header.max_timestamp)
        store32(copy.to + CRC_AT, <int32_t> checksum(copy.to, copy.size))


cdef void clear_bytes(void *arguments) noexcept nogil:
    cdef Copy *copy = <Copy *> arguments
    memset(copy.to, 0, copy.size)


cdef object disk_failed():
    raise OSError(errno.EIO, "the disk failed under a mapped file")


@cython.final
cdef class SegmentWriter:
    """The active segment: its map, how far it is written, and its index entries.

    `size` is where the next batch goes, `capacity` how much is mapped. What makes a segment full
    is set from outside: `max_size` in bytes, `roll_ms` after the first batch's timestamp (or
    `created_ms` if that has none), `max_entries` of each index together with those in the files.
    """

    cdef Py_buffer buffer
    cdef bint attached
    cdef readonly SegmentIndexer indexer
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t capacity
    cdef public Py_ssize_t max_size
    cdef public int64_t roll_ms
    cdef public int64_t created_ms
    cdef public int64_t first_timestamp
    cdef public Py_ssize_t max_offset_entries
    cdef public Py_ssize_t max_time_entries

    def __cinit__(self, SegmentIndexer indexer not None, Py_ssize_t size):
        if size < 0:
            raise ValueError(f"a segment has no {size} bytes")
        self.indexer = indexer
        self.size = size
        self.first_timestamp = -1
        if kstore_guard_install() != 0:
            raise OSError(errno.EINVAL, "no handler for SIGBUS could be installed")

    def __dealloc__(self):
        if self.attached:
            PyBuffer_Release(&self.buffer)

    def attach(self, map):
        """Writes go into `map` from now on: all of the file that is preallocated."""
        cdef Py_buffer buffer
        PyObject_GetBuffer(map, &buffer, PyBUF_WRITABLE)
        if buffer.len < self.size:
            PyBuffer_Release(&buffer)
            raise ValueError(f"a map of {buffer.len} bytes for {self.size} written")
        self.detach()
        self.buffer = buffer
        self.capacity = buffer.len
        self.attached = True

    def detach(self):
        """Lets the map go; the next batch then needs a new one."""
        if self.attached:
            PyBuffer_Release(&self.buffer)
        self.attached = False
        self.capacity = 0

    cdef bint is_full(self, const Header *header, Py_ssize_t size, int64_t now_ms):
        """LogSegment.shouldRoll."""
        cdef int64_t waited_ms
        if self.size > self.max_size - size:
            return True
        if self.size > 0:
            if self.first_timestamp >= 0:
                waited_ms = wrapping_sum(header.max_timestamp, -self.first_timestamp)
            else:
                waited_ms = now_ms - self.created_ms
            if (
                waited_ms > self.roll_ms
                or self.indexer.offsets.count >= self.max_offset_entries
                or self.indexer.times.count >= self.max_time_entries - 1
            ):
                return True
        return wrapping_sum(last_offset_of(header), -self.indexer.base_offset) > INT32_MAX

    def append(
        self, data, BatchHeader header not None, int64_t base_offset, int32_t leader_epoch,
        int64_t now_ms,
    ):
        """Appends the batch that starts at `header.position` of `data`, if it fits.

        Returns FITS, or what has to be done first and then nothing has happened. `header` becomes
        that of the batch as it stands in the log. Raises OSError if the disk fails.
        """
        cdef Header fields = header.header
        cdef Copy copy
        cdef Py_buffer source
        fields.base_offset = base_offset
        fields.leader_epoch = leader_epoch
        if self.is_full(&fields, header.size, now_ms):
            return ROLL
        if self.indexer.offsets.count >= SPILL_COUNT or self.indexer.times.count >= SPILL_COUNT:
            return SPILL
        if header.size > self.capacity - self.size:
            return GROW
        PyObject_GetBuffer(data, &source, PyBUF_SIMPLE)
        try:
            if (
                header.size < HEADER_SIZE
                or header.position < 0
                or header.size > source.len - header.position
            ):
                raise ValueError("the batch is not in these bytes")
            copy.to = <unsigned char *> self.buffer.buf + self.size
            copy.data = <const unsigned char *> source.buf + header.position
            copy.header = &fields
            copy.size = header.size
            copy.rewritten = header.rewritten
            if kstore_guarded(copy_batch, &copy) != 0:
                disk_failed()
        finally:
            PyBuffer_Release(&source)
        header.header = fields
        self.indexer.note(&fields, self.size)
        if self.size == 0:
            self.first_timestamp = fields.max_timestamp
        self.size += header.size
        return FITS

    def cut(self, Py_ssize_t size):
        """Takes back what was written from `size` on; the bytes in the map become zero.

        The file keeps its blocks, so views that were given out stay safe to read.
        """
        cdef Copy copy
        if size < 0 or size > self.size:
            raise ValueError(f"can't cut {self.size} bytes to {size}")
        if self.attached and size < self.size:
            copy.to = <unsigned char *> self.buffer.buf + size
            copy.size = self.size - size
            if kstore_guarded(clear_bytes, &copy) != 0:
                disk_failed()
        self.size = size
        if size == 0:
            self.first_timestamp = -1


cdef struct Search:
    const unsigned char *data
    Py_ssize_t position    # in: where to begin; out: where the batch found begins, or would
    Py_ssize_t end
    int64_t offset
    int64_t timestamp
    Py_ssize_t size        # out: of the batch found, 0 if there is none
    bint corrupt


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
    if kstore_guard_install() != 0:
        raise OSError(errno.EINVAL, "no handler for SIGBUS could be installed")
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        search.data = <const unsigned char *> buffer.buf
        search.position = position if position > 0 else 0
        search.end = min(max(end, 0), buffer.len)
        search.offset = offset
        search.timestamp = timestamp
        search.size = 0
        search.corrupt = False
        if kstore_guarded(search_batch, &search) != 0:
            disk_failed()
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
                if (
                    header.base_offset < next_offset
                    or header.last_offset_delta < 0
                    or header.base_offset > INT64_MAX - 1 - header.last_offset_delta
                    or wrapping_sum(last_offset_of(&header), -base_offset) > INT32_MAX
                ):
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
