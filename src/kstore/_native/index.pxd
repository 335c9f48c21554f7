"""Index entries that are not in a file yet, and the cadence at which they arise."""

from libc.stdint cimport int32_t, int64_t

from kstore._native.batch cimport Header

cdef enum:
    OFFSET_ENTRY_SIZE = 8     # int32 relative offset, int32 position
    TIME_ENTRY_SIZE = 12      # int64 timestamp, int32 relative offset



cdef struct EntrySearch:
    const unsigned char *file    # may be a map
    Py_ssize_t file_count
    const unsigned char *tail
    Py_ssize_t tail_count
    Py_ssize_t entry_size
    Py_ssize_t key_at            # where in an entry the number stands that is searched for
    bint wide                    # an int64, else an int32
    int64_t target
    Py_ssize_t slot              # out: of the entry found, -1 if there is none


cdef class IndexTail:
    cdef unsigned char *entries
    cdef Py_ssize_t capacity
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t entry_size

    cdef unsigned char *grow(self) except NULL nogil


cdef class SegmentIndexer:
    cdef readonly int64_t base_offset
    cdef readonly IndexTail offsets
    cdef readonly IndexTail times
    cdef public Py_ssize_t interval_bytes
    cdef public Py_ssize_t bytes_since_entry
    cdef public int64_t max_timestamp
    cdef public int64_t max_timestamp_offset
    cdef public int64_t last_time_entry

    cdef int note(self, const Header *header, Py_ssize_t position) except -1 nogil
    cdef int add_time_entry(self) except -1 nogil


cdef class BaseOffsets:
    cdef int64_t *offsets
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity


cdef int begin_search(
    EntrySearch *search, const Py_buffer *file, Py_ssize_t file_count, IndexTail tail,
    Py_ssize_t entry_size, int64_t target,
) except -1
cdef Py_ssize_t search_position(EntrySearch *search) noexcept nogil
