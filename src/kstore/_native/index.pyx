"""Index entries: how they arise while a segment grows, and how they are found again.

The newest entries of a segment stand in memory (an `IndexTail`) until there is a page of them, so
an append needs no system call for its index; `log/index.py` moves full pages to the file. The rules
of section "Index rules" in docs/formats are Kafka's (LogSegment, OffsetIndex, TimeIndex).

A search goes over both: the entries of the file, which are handed in where they are mapped and are
looked at under a guard, and behind them those of the tail. Its cost grows with the logarithm of their
number and with nothing else. A tail, and `BaseOffsets`, belong to the thread of their log.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from kstore._native.batch cimport LOG_OVERHEAD, last_offset_of, wrapping_sum
from kstore._native.big_endian cimport load32, load64, store32, store64
from kstore._native.guard cimport guarded

__all__ = [
    "BaseOffsets",
    "IndexTail",
    "SegmentIndexer",
    "find_offset",
    "find_position",
    "find_time",
    "find_time_offset",
]

cdef enum:
    FIRST_CAPACITY = 8


cdef class IndexTail:
    """Entries of `entry_size` bytes each, in file format."""

    def __cinit__(self, Py_ssize_t entry_size):
        if entry_size != OFFSET_ENTRY_SIZE and entry_size != TIME_ENTRY_SIZE:
            raise ValueError(f"no index has entries of {entry_size} bytes")
        self.entry_size = entry_size

    def __dealloc__(self):
        free(self.entries)

    cdef unsigned char *grow(self) except NULL nogil:
        """Room for one more entry: where it is to be written; it counts from now on."""
        cdef Py_ssize_t capacity
        cdef void *entries
        if self.count == self.capacity:
            capacity = self.capacity * 2 if self.capacity else FIRST_CAPACITY
            entries = realloc(self.entries, <size_t> (capacity * self.entry_size))
            if entries == NULL:
                with gil:
                    raise MemoryError
            self.entries = <unsigned char *> entries
            self.capacity = capacity
        self.count += 1
        return self.entries + (self.count - 1) * self.entry_size

    def add_offset(self, int32_t relative_offset, int32_t position):
        """Adds an entry of an offset index."""
        if self.entry_size != OFFSET_ENTRY_SIZE:
            raise TypeError("these are entries of a time index")
        cdef unsigned char *entry = self.grow()
        store32(entry, relative_offset)
        store32(entry + 4, position)

    def add_time(self, int64_t timestamp_ms, int32_t relative_offset):
        """Adds an entry of a time index."""
        if self.entry_size != TIME_ENTRY_SIZE:
            raise TypeError("these are entries of an offset index")
        cdef unsigned char *entry = self.grow()
        store64(entry, timestamp_ms)
        store32(entry + 8, relative_offset)

    def read(self, Py_ssize_t start, Py_ssize_t count):
        """Up to `count` entries from the one at `start` on, as they are to stand in the file."""
        if start < 0 or start > self.count or count < 0:
            return b""
        if count > self.count - start:
            count = self.count - start
        return PyBytes_FromStringAndSize(
            <const char *> self.entries + start * self.entry_size, count * self.entry_size
        )

    def to_bytes(self):
        """All entries."""
        return self.read(0, self.count)

    def keep(self, Py_ssize_t count):
        """Drops all but the first `count` entries."""
        if 0 <= count < self.count:
            self.count = count

    def clear(self):
        """Drops all entries and the memory they stood in."""
        free(self.entries)
        self.entries = NULL
        self.count = self.capacity = 0


cdef class SegmentIndexer:
    """Adds index entries as batches go by, at Kafka's cadence.

    `max_timestamp` is the largest so far (-1: none), `max_timestamp_offset` the last offset of the
    batch that holds it, `last_time_entry` the timestamp of the newest entry, in memory or file.
    """

    def __cinit__(self, int64_t base_offset, Py_ssize_t interval_bytes):
        self.base_offset = base_offset
        self.interval_bytes = interval_bytes
        self.offsets = IndexTail(OFFSET_ENTRY_SIZE)
        self.times = IndexTail(TIME_ENTRY_SIZE)
        self.max_timestamp = -1
        self.max_timestamp_offset = base_offset
        self.last_time_entry = -1

    cdef int note(self, const Header *header, Py_ssize_t position) except -1 nogil:
        """A batch with this header stands at `position` of the segment."""
        cdef unsigned char *entry
        cdef int64_t last_offset = last_offset_of(header)
        if header.max_timestamp > self.max_timestamp:
            self.max_timestamp = header.max_timestamp
            self.max_timestamp_offset = last_offset
        if self.bytes_since_entry > self.interval_bytes:
            entry = self.offsets.grow()
            store32(entry, <int32_t> wrapping_sum(last_offset, -self.base_offset))
            store32(entry + 4, <int32_t> position)
            self.add_time_entry()
            self.bytes_since_entry = 0
        self.bytes_since_entry += LOG_OVERHEAD + header.batch_length
        return 0

    cdef int add_time_entry(self) except -1 nogil:
        cdef unsigned char *entry
        if self.max_timestamp > self.last_time_entry:
            entry = self.times.grow()
            store64(entry, self.max_timestamp)
            store32(entry + 8, <int32_t> wrapping_sum(self.max_timestamp_offset, -self.base_offset))
            self.last_time_entry = self.max_timestamp
        return 0

    def finish(self):
        """Adds the last time entry, as a segment gets when it is rolled or closed."""
        self.add_time_entry()


cdef Py_ssize_t last_at_most(
    const unsigned char *entries,
    Py_ssize_t count,
    Py_ssize_t entry_size,
    Py_ssize_t key_at,
    bint wide,
    int64_t target,
) noexcept nogil:
    """The last entry whose key is at most `target`, -1 if there is none; keys never go down."""
    cdef Py_ssize_t low = 0, high = count, middle
    cdef const unsigned char *key
    while low < high:
        middle = (low + high) // 2
        key = entries + middle * entry_size + key_at
        if (load64(key) if wide else load32(key)) <= target:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef void search_slot(void *arguments) noexcept nogil:
    """The newest entries first, where most searches end."""
    cdef EntrySearch *search = <EntrySearch *> arguments
    cdef Py_ssize_t slot = last_at_most(
        search.tail, search.tail_count, search.entry_size, search.key_at, search.wide,
        search.target,
    )
    if slot >= 0:
        search.slot = search.file_count + slot
        return
    search.slot = last_at_most(
        search.file, search.file_count, search.entry_size, search.key_at, search.wide,
        search.target,
    )


cdef Py_ssize_t search_position(EntrySearch *search) noexcept nogil:
    cdef const unsigned char *entry
    search_slot(search)
    if search.slot < 0:
        return 0
    if search.slot < search.file_count:
        entry = search.file + search.slot * OFFSET_ENTRY_SIZE
    else:
        entry = search.tail + (search.slot - search.file_count) * OFFSET_ENTRY_SIZE
    return <uint32_t> load32(entry + 4)


cdef int begin_search(
    EntrySearch *search, const Py_buffer *file, Py_ssize_t file_count, IndexTail tail,
    Py_ssize_t entry_size, int64_t target,
) except -1:
    if not 0 <= file_count <= file.len // entry_size:
        raise ValueError(f"no {file_count} entries in {file.len} bytes")
    if tail is not None and tail.entry_size != entry_size:
        raise TypeError("these are entries of the other index")
    search.file = <const unsigned char *> file.buf
    search.file_count = file_count
    search.tail = NULL if tail is None else tail.entries
    search.tail_count = 0 if tail is None else tail.count
    search.entry_size = entry_size
    search.key_at = 0
    search.wide = False
    search.target = target
    return 0


cdef Py_ssize_t run_search(
    file, Py_ssize_t file_count, IndexTail tail, Py_ssize_t entry_size, Py_ssize_t key_at,
    bint wide, int64_t target,
) except -2:
    cdef Py_buffer buffer
    cdef EntrySearch search
    PyObject_GetBuffer(file, &buffer, PyBUF_SIMPLE)
    try:
        begin_search(&search, &buffer, file_count, tail, entry_size, target)
        search.key_at = key_at
        search.wide = wide
        guarded(search_slot, &search)
    finally:
        PyBuffer_Release(&buffer)
    return search.slot


def find_offset(file, Py_ssize_t file_count, IndexTail tail, int64_t relative_offset):
    """The slot of the last entry of an offset index at or below `relative_offset`, else -1.

    The first `file_count` entries are those of `file`; behind them come those of `tail`, if it is
    not None.
    """
    return run_search(file, file_count, tail, OFFSET_ENTRY_SIZE, 0, False, relative_offset)


def find_time(file, Py_ssize_t file_count, IndexTail tail, int64_t timestamp_ms):
    """As `find_offset`: the slot of the last entry of a time index at or below `timestamp_ms`."""
    return run_search(file, file_count, tail, TIME_ENTRY_SIZE, 0, True, timestamp_ms)


def find_time_offset(file, Py_ssize_t file_count, IndexTail tail, int64_t relative_offset):
    """As `find_offset`: the slot of the last entry of a time index whose offset is at most that."""
    return run_search(file, file_count, tail, TIME_ENTRY_SIZE, 8, False, relative_offset)


cdef void run_position(void *arguments) noexcept nogil:
    cdef EntrySearch *search = <EntrySearch *> arguments
    search.slot = search_position(search)


def find_position(file, Py_ssize_t file_count, IndexTail tail, int64_t relative_offset):
    """What `find_offset` finds: the position that stands in that entry, 0 if there is none."""
    cdef Py_buffer buffer
    cdef EntrySearch search
    PyObject_GetBuffer(file, &buffer, PyBUF_SIMPLE)
    try:
        begin_search(&search, &buffer, file_count, tail, OFFSET_ENTRY_SIZE, relative_offset)
        guarded(run_position, &search)
    finally:
        PyBuffer_Release(&buffer)
    return search.slot


cdef class BaseOffsets:
    """The base offsets of a log's segments: rising numbers in one piece of memory."""

    def __dealloc__(self):
        free(self.offsets)

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.offsets[index]

    def add(self, int64_t offset):
        """Adds an offset above all others; ValueError for another one."""
        cdef Py_ssize_t capacity
        cdef void *grown
        if self.count and offset <= self.offsets[self.count - 1]:
            raise ValueError(f"{offset} is not above {self.offsets[self.count - 1]}")
        if self.count == self.capacity:
            capacity = self.capacity * 2 if self.capacity else FIRST_CAPACITY
            grown = realloc(self.offsets, <size_t> capacity * sizeof(int64_t))
            if grown == NULL:
                raise MemoryError
            self.offsets = <int64_t *> grown
            self.capacity = capacity
        self.offsets[self.count] = offset
        self.count += 1

    def drop_last(self):
        if self.count:
            self.count -= 1

    def drop_first(self, Py_ssize_t count):
        """Drops the first `count` offsets, or all."""
        count = max(0, min(count, self.count))
        self.count -= count
        if self.count:
            memmove(self.offsets, self.offsets + count, <size_t> self.count * sizeof(int64_t))

    def floor(self, int64_t offset):
        """The index of the last one that is at most `offset`, -1 if there is none."""
        cdef Py_ssize_t low = 0, high = self.count, middle
        # Most who ask want the newest.
        if high and self.offsets[high - 1] <= offset:
            return high - 1
        while low < high:
            middle = (low + high) // 2
            if self.offsets[middle] <= offset:
                low = middle + 1
            else:
                high = middle
        return low - 1
