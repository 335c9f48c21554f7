"""Appending to a segment: batches into its map, entries into its indexes.

No policy, and no system call but in `touch`: `log/segment.py` hands in maps, `log/roll.py` decides
what to do when a batch does not fit, and a batch that is not to go through the map is left to be
written. All work on a map runs under a guard, so that a disk that fails under it is an OSError
here. A `SegmentWriter` belongs to the thread of its log.
"""

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EIO
from libc.stdint cimport INT32_MAX, INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memset

from kstore._native.batch cimport (
    ATTRIBUTES_AT,
    BASE_OFFSET_AT,
    CRC_AT,
    HEADER_SIZE,
    LEADER_EPOCH_AT,
    MAX_TIMESTAMP_AT,
    BatchHeader,
    Header,
    checksum_apart,
    last_offset_of,
    wrapping_sum,
)
from kstore._native.big_endian cimport store16, store32, store64
from kstore._native.guard cimport guarded, kstore_guard_install, kstore_guarded
from kstore._native.index cimport (
    OFFSET_ENTRY_SIZE,
    EntrySearch,
    SegmentIndexer,
    begin_search,
    search_position,
)
from kstore._native.scan cimport Search, search_batch

__all__ = ["AHEAD", "FITS", "GROW", "ROLL", "SPILL", "WRITE", "SegmentWriter", "touch"]

cdef extern from *:
    """
    #include <sys/mman.h>
    #define kstore_touch(byte) ((void) __atomic_fetch_or((byte), 0, __ATOMIC_RELAXED))
    #ifdef MADV_POPULATE_WRITE
    #define kstore_populate(first, size) madvise((first), (size), MADV_POPULATE_WRITE)
    #else
    #define kstore_populate(first, size) -1
    #endif
    """
    void kstore_touch(uint8_t *byte) nogil
    int kstore_populate(uint8_t *first, size_t size) nogil

cdef enum:
    FITS = 0
    GROW = 1     # the map ends before the batch would
    ROLL = 2     # the batch belongs into a new segment
    SPILL = 3    # a page of index entries is to be moved to its file
    WRITE = 4    # `head` and the batch's bytes behind its header are to be written at `size`
    AHEAD = 5    # as FITS, and it is time to make ready what is needed next

    SPILL_COUNT = 512
    PAGE_SIZE = 4096

globals().update(
    FITS=<int> FITS,
    GROW=<int> GROW,
    ROLL=<int> ROLL,
    SPILL=<int> SPILL,
    WRITE=<int> WRITE,
    AHEAD=<int> AHEAD,
)


cdef struct Copy:
    unsigned char *to
    const unsigned char *data
    const Header *header
    Py_ssize_t size
    Py_ssize_t batch_size
    bint rewritten


cdef void copy_batch(void *arguments) noexcept nogil:
    """Puts a batch in place with its final offset and epoch, or its header only (`size`)."""
    cdef Copy *copy = <Copy *> arguments
    memcpy(copy.to, copy.data, copy.size)
    store64(copy.to + BASE_OFFSET_AT, copy.header.base_offset)
    store32(copy.to + LEADER_EPOCH_AT, copy.header.leader_epoch)
    if copy.rewritten:
        store16(copy.to + ATTRIBUTES_AT, copy.header.attributes)
        store64(copy.to + MAX_TIMESTAMP_AT, copy.header.max_timestamp)
        store32(
            copy.to + CRC_AT,
            <int32_t> checksum_apart(
                copy.to, copy.data + HEADER_SIZE, copy.batch_size - HEADER_SIZE
            ),
        )


cdef void clear_bytes(void *arguments) noexcept nogil:
    cdef Copy *copy = <Copy *> arguments
    memset(copy.to, 0, copy.size)


cdef struct Pages:
    uint8_t *first
    uint8_t *end


cdef void touch_pages(void *arguments) noexcept nogil:
    cdef Pages *pages = <Pages *> arguments
    cdef uint8_t *page = pages.first
    if kstore_populate(page, pages.end - page) == 0:
        return
    while page < pages.end:
        kstore_touch(page)
        page += PAGE_SIZE


def touch(map, Py_ssize_t position):
    """Has the system give memory for what is mapped from `position` on; frees the GIL.

    No byte changes, and others may write there meanwhile. Linux can be asked for all of it at once,
    which costs less than a fault for each page; this is a system call in native code as the GIL
    has to be free. Any thread. Raises OSError if the disk fails.
    """
    cdef Py_buffer buffer
    cdef Pages pages
    cdef int failed
    PyObject_GetBuffer(map, &buffer, PyBUF_WRITABLE)
    try:
        position -= position % PAGE_SIZE
        pages.first = <uint8_t *> buffer.buf + max(0, position)
        pages.end = <uint8_t *> buffer.buf + buffer.len
        failed = kstore_guard_install()
        if not failed:
            with nogil:
                failed = kstore_guarded(touch_pages, &pages)
        if failed:
            raise OSError(EIO, "the disk failed under a mapped file")
    finally:
        PyBuffer_Release(&buffer)


cdef struct ActiveSearch:
    EntrySearch entries
    Search batches


cdef void search_active(void *arguments) noexcept nogil:
    cdef ActiveSearch *search = <ActiveSearch *> arguments
    search.batches.position = search_position(&search.entries)
    search_batch(&search.batches)


@cython.final
cdef class SegmentWriter:
    """The active segment: its map, how far it is written, and its index entries.

    `size` is where the next batch goes, `capacity` how much is mapped. What makes a segment full
    is set from outside: `max_size` in bytes, `roll_ms` after the first batch's timestamp (or
    `created_ms` if that has none), `max_entries` of each index together with those in the files.

    `ahead_at` is the size from which on each append asks to make ready what is needed next.
    A batch of `write_from` bytes or more does not go through the map: `append` gives its final
    header out in `head`, and `wrote` takes it in once it is in the file. `wrote_last` says whether
    that was so with the last batch.
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
    cdef public Py_ssize_t ahead_at
    cdef public Py_ssize_t write_from
    cdef readonly bint wrote_last
    cdef readonly bytes head

    def __cinit__(self, SegmentIndexer indexer not None, Py_ssize_t size):
        if size < 0:
            raise ValueError(f"a segment has no {size} bytes")
        self.indexer = indexer
        self.size = size
        self.first_timestamp = -1
        self.ahead_at = self.write_from = INT64_MAX

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

        Returns FITS or AHEAD, or else what has to be done first; then nothing has happened.
        `header` becomes that of the batch as it stands in the log. Raises OSError if the disk
        fails.
        """
        cdef Header fields = header.header
        cdef Copy copy
        cdef Py_buffer source
        cdef bint to_file = header.size >= self.write_from
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
            if to_file:
                self.head = PyBytes_FromStringAndSize(NULL, HEADER_SIZE)
                copy.to = <unsigned char *> PyBytes_AS_STRING(self.head)
                copy.size = HEADER_SIZE
            else:
                copy.to = <unsigned char *> self.buffer.buf + self.size
                copy.size = header.size
            copy.data = <const unsigned char *> source.buf + header.position
            copy.header = &fields
            copy.batch_size = header.size
            copy.rewritten = header.rewritten
            guarded(copy_batch, &copy)
        finally:
            PyBuffer_Release(&source)
        header.header = fields
        if to_file:
            return WRITE
        self.wrote_last = False
        return self.take(header)

    def wrote(self, BatchHeader header not None):
        """The batch whose `head` was given out stands in the file at `size` now.

        Returns FITS or AHEAD.
        """
        if self.head is None or header.size > self.capacity - self.size:
            raise ValueError("no such batch was given out")
        self.head = None
        self.wrote_last = True
        return self.take(header)

    def failed_to_write(self, BatchHeader header not None):
        """What may stand of that batch in the file becomes zero again. Raises OSError."""
        self.head = None
        self.clear(self.size, min(self.capacity, self.size + header.size))

    cdef int take(self, BatchHeader header) except -1:
        """Counts in the batch at the end of the file."""
        self.indexer.note(&header.header, self.size)
        if self.size == 0:
            self.first_timestamp = header.header.max_timestamp
        self.size += header.size
        return AHEAD if self.size >= self.ahead_at else FITS

    def find(self, index_file, Py_ssize_t file_count, int64_t offset):
        """Where the batch that holds `offset`, or the first one after it, begins, and its size.

        The index entries that are in the file already are the first `file_count` of `index_file`,
        the others are in the indexer. As `find_batch`: a size of 0 means that there is none, -1
        that no batch begins where one should.
        """
        cdef Py_buffer file
        cdef ActiveSearch search
        PyObject_GetBuffer(index_file, &file, PyBUF_SIMPLE)
        try:
            begin_search(
                &search.entries, &file, file_count, self.indexer.offsets, OFFSET_ENTRY_SIZE,
                wrapping_sum(offset, -self.indexer.base_offset),
            )
            search.batches.data = <const unsigned char *> self.buffer.buf
            search.batches.end = min(self.size, self.capacity)
            search.batches.offset = offset
            search.batches.timestamp = INT64_MIN
            search.batches.size = 0
            search.batches.corrupt = False
            guarded(search_active, &search)
        finally:
            PyBuffer_Release(&file)
        return search.batches.position, -1 if search.batches.corrupt else search.batches.size

    def cut(self, Py_ssize_t size):
        """Takes back what was written from `size` on; the bytes in the map become zero.

        The file keeps its blocks, so views that were given out stay safe to read.
        """
        if size < 0 or size > self.size:
            raise ValueError(f"can't cut {self.size} bytes to {size}")
        self.clear(size, self.size)
        self.size = size
        if size == 0:
            self.first_timestamp = -1

    cdef int clear(self, Py_ssize_t position, Py_ssize_t end) except -1:
        cdef Copy copy
        if self.attached and position < end:
            copy.to = <unsigned char *> self.buffer.buf + position
            copy.size = end - position
            guarded(clear_bytes, &copy)
        return 0
