"""What recovery learns of a segment while its bytes go by, once: are they sound, its index entries,
its leader epochs, and the batches that its producers are known by.

A `SegmentScan` belongs to one thread at a time. `check` frees the GIL, so that several segments are
scanned side by side; no policy and no system call: `log/recovery.py` reads and decides.

Of a producer's batches only some decide what is known of it in the end: its last five, and in each of
its transactions the first. Those in between are let go as soon as many have gathered.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from kstore._native.batch cimport (
    CONTROL_BIT,
    LOG_OVERHEAD,
    SOUND,
    TRANSACTIONAL_BIT,
    BatchHeader,
    Header,
    check_bytes,
    last_offset_of,
    make_header,
)
from kstore._native.index cimport SegmentIndexer
from kstore._native.scan cimport BACKWARDS, follows

__all__ = ["SegmentScan"]

cdef enum:
    FIRST_CAPACITY = 64
    MAX_NOTED = 65536         # batches: more are thinned out,
    MAX_THINNED = 32768       # and given up if still so many are left
    BATCHES_KEPT = 5          # of a producer, as `log/producers/entry.py` has it


cdef struct Noted:
    Header header
    Py_ssize_t position
    bint kept


# What was seen of one producer, on the way from the newest batch to the oldest.
cdef struct Producer:
    int64_t id
    Py_ssize_t count          # batches of data since its last marker; 0 and `used`: just a marker
    Py_ssize_t first          # the oldest of them that is part of a transaction, -1 if none is
    bint used


cdef class SegmentScan:
    """The sound batches of a segment from its first byte on.

    They end at `position` in the file, and `next_offset` follows them. `epochs` has (leader epoch,
    base offset) for each batch of an epoch above all those before it.
    """

    cdef readonly SegmentIndexer indexer
    cdef readonly int64_t next_offset
    cdef readonly Py_ssize_t position
    cdef readonly list epochs
    cdef int32_t leader_epoch
    cdef Noted *noted
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef bint given_up

    def __cinit__(self, SegmentIndexer indexer not None):
        self.indexer = indexer
        self.next_offset = indexer.base_offset
        self.epochs = []
        self.leader_epoch = -1

    def __dealloc__(self):
        free(self.noted)

    def check(self, data):
        """Takes in the sound batches with which `data` begins, the bytes that follow in the file.

        Their offsets have to be at or above `next_offset`, rise, and stay within 2**31 of the
        segment's base. Returns what is wrong behind them: a fault of `_native.batch`, BACKWARDS,
        or 0 at the end of the data.
        """
        cdef Py_buffer buffer
        cdef int fault
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            with nogil:
                fault = self.run(<const unsigned char *> buffer.buf, buffer.len)
        finally:
            PyBuffer_Release(&buffer)
        return fault

    def take(self, BatchHeader header not None):
        """Takes in one batch that the caller has found sound. Returns BACKWARDS, and does not, if
        its offsets don't follow; else 0."""
        if not follows(&header.header, self.indexer.base_offset, self.next_offset):
            return BACKWARDS
        self.note(&header.header)
        return SOUND

    def producer_batches(self):
        """The headers of the batches that decide what is known of the producers in the end, markers
        among them, in their order. None if they are too many to be kept."""
        cdef Py_ssize_t index
        if self.given_up:
            return None
        self.thin_out()
        made = []
        for index in range(self.count):
            made.append(make_header(&self.noted[index].header, self.noted[index].position))
        return made

    cdef int run(self, const unsigned char *data, Py_ssize_t size) except -1 nogil:
        cdef Header header
        cdef Py_ssize_t at = 0
        cdef int fault
        while at < size:
            fault = check_bytes(data + at, size - at, True, &header)
            if fault != SOUND:
                return fault
            if not follows(&header, self.indexer.base_offset, self.next_offset):
                return BACKWARDS
            self.note(&header)
            at += LOG_OVERHEAD + <Py_ssize_t> header.batch_length
        return SOUND

    cdef int note(self, const Header *header) except -1 nogil:
        self.indexer.note(header, self.position)
        if header.leader_epoch > self.leader_epoch:
            self.leader_epoch = header.leader_epoch
            with gil:
                self.epochs.append((header.leader_epoch, header.base_offset))
        if header.producer_id >= 0 and not self.given_up:
            self.keep(header)
        self.next_offset = last_offset_of(header) + 1
        self.position += LOG_OVERHEAD + <Py_ssize_t> header.batch_length
        return 0

    cdef int keep(self, const Header *header) except -1 nogil:
        cdef Py_ssize_t capacity
        cdef void *grown
        if self.count == MAX_NOTED:
            self.thin_out()
            if self.count > MAX_THINNED:
                self.given_up = True
                self.count = 0
                return 0
        if self.count == self.capacity:
            capacity = self.capacity * 2 if self.capacity else FIRST_CAPACITY
            grown = realloc(self.noted, <size_t> capacity * sizeof(Noted))
            if grown == NULL:
                with gil:
                    raise MemoryError
            self.noted = <Noted *> grown
            self.capacity = capacity
        self.noted[self.count].header = header[0]
        self.noted[self.count].position = self.position
        self.count += 1
        return 0

    cdef int thin_out(self) except -1 nogil:
        """Lets go the batches that later ones of their producers have made unimportant."""
        cdef Py_ssize_t size = 64, index, kept = 0
        cdef Producer *producers
        cdef Producer *producer
        cdef Noted *one
        while size < 2 * self.count:
            size *= 2
        producers = <Producer *> calloc(<size_t> size, sizeof(Producer))
        if producers == NULL:
            with gil:
                raise MemoryError
        for index in range(self.count - 1, -1, -1):
            one = &self.noted[index]
            producer = find_producer(producers, size, one.header.producer_id)
            one.kept = True
            if one.header.attributes & CONTROL_BIT:
                self.keep_first(producer)
                producer.count = 0
                continue
            producer.count += 1
            one.kept = producer.count <= BATCHES_KEPT
            if one.header.attributes & TRANSACTIONAL_BIT:
                producer.first = index
        for index in range(size):
            self.keep_first(&producers[index])
        free(producers)
        for index in range(self.count):
            if self.noted[index].kept:
                self.noted[kept] = self.noted[index]
                kept += 1
        self.count = kept
        return 0

    cdef void keep_first(self, Producer *producer) noexcept nogil:
        if producer.used and producer.first >= 0:
            self.noted[producer.first].kept = True
            producer.first = -1


cdef Producer *find_producer(Producer *producers, Py_ssize_t size, int64_t id) noexcept nogil:
    """The place of a producer in a table of `size`, a power of two, that is never full."""
    cdef uint64_t hashed = <uint64_t> id * 0x9E3779B97F4A7C15ULL
    cdef Py_ssize_t at = <Py_ssize_t> (hashed >> 32) & (size - 1)
    while producers[at].used and producers[at].id != id:
        at = (at + 1) & (size - 1)
    if not producers[at].used:
        producers[at].used = True
        producers[at].id = id
        producers[at].first = -1
    return &producers[at]
