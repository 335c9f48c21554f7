"""The two loops of compaction: keys into the map, and batches rewritten by what the map says.

`log/compaction/` reads the bytes and writes them. Plain batches are run through without the GIL;
those that need more (compressed ones, transactions, the last batch of a producer) are given back to
the caller, who decides and calls the function for one batch. Each batch's CRC is checked before
anything in it is believed, and nothing is written of a batch that is not sound. Offsets never
change. One thread at a time may use a filter; it need not always be the same.

Records are read in groups: the keys of a group are hashed first, and the map's memory for all of
them is fetched at once, before the first is looked up.

Sources: Kafka's Cleaner, MemoryRecords.filterTo.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t
from libc.string cimport memcpy

from kstore._native.batch cimport (
    CODEC_MASK, CONTROL_BIT, DELETE_HORIZON_BIT, HEADER_SIZE, LOG_APPEND_TIME_BIT, LOG_OVERHEAD,
    SOUND, TRANSACTIONAL_BIT, BatchHeader, Header, check_bytes, last_offset_of, wrapping_sum,
    write_header,
)
from kstore._native.cursor cimport Cursor, read_int8
from kstore._native.key_map cimport KeyHash, KeyMap
from kstore._native.records cimport (
    NO_FAULT, Walk, next_record, put_varint, raise_fault, read_varint, read_varlong, start_walk,
    varint_size,
)

__all__ = [
    "BY_KEY", "COPIED", "DROPPED", "EMPTIED", "FULL", "KEEP_ALL", "KEEP_NONE", "OTHER", "REWRITTEN",
    "RecordFilter", "map_batch", "map_run",
]

# Why a run ended, beside the faults of `_native.batch`.
cdef enum:
    OTHER = 64       # the next batch is the caller's to decide
    FULL = 65        # the map has no room for another key
    BAD_RECORD = 66

# Which records of a batch are kept.
cdef enum:
    BY_KEY = 0
    KEEP_ALL = 1
    KEEP_NONE = 2

# What became of a batch.
cdef enum:
    DROPPED = 0
    COPIED = 1
    REWRITTEN = 2
    EMPTIED = 3
    FAILED = -1      # the walk says why, or there is no memory
    NO_MEMORY = -2

cdef enum:
    MAX_GROWTH = 14  # bytes that a record may be longer with another timestamp delta
    NOT_PLAIN = CODEC_MASK | TRANSACTIONAL_BIT | CONTROL_BIT
    GROUP = 16       # records that are read before the map is asked; the processor fetches no more

globals().update(
    OTHER=<int> OTHER, FULL=<int> FULL, BY_KEY=<int> BY_KEY, KEEP_ALL=<int> KEEP_ALL,
    KEEP_NONE=<int> KEEP_NONE, DROPPED=<int> DROPPED, COPIED=<int> COPIED,
    REWRITTEN=<int> REWRITTEN, EMPTIED=<int> EMPTIED,
)

# A record that was read, and where it stands in the walk's bytes.
cdef struct Seen:
    KeyHash key
    bint has_key
    bint is_tombstone
    int64_t offset
    int64_t timestamp
    Py_ssize_t start
    Py_ssize_t end

# Neighbouring records that are kept.
cdef struct Run:
    Py_ssize_t start
    Py_ssize_t end


cdef int check_position(Py_ssize_t position, Py_ssize_t size) except -1:
    if not 0 <= position <= size:
        raise IndexError(f"no position {position} in {size} bytes")
    return 0


cdef int start_plain(
    const unsigned char *bytes, Py_ssize_t size, Py_ssize_t position, Walk *walk
) noexcept nogil:
    """Begins the walk through the batch at `position`; SOUND, OTHER if it is not plain, or a fault.

    The walk's end is the batch's.
    """
    cdef Header header
    cdef int why = check_bytes(bytes + position, size - position, True, &header)
    if why != SOUND:
        return why
    if header.attributes & NOT_PLAIN:
        return OTHER
    size = LOG_OVERHEAD + <Py_ssize_t> header.batch_length
    start_walk(walk, &header, bytes, position + HEADER_SIZE, position + size)
    return SOUND


cdef int read_group(
    KeyMap map, Walk *walk, int64_t from_offset, bint hashed, Seen *group
) noexcept nogil:
    """Reads the next records from an offset on, at most GROUP; how many. Fewer: that was all, or
    there is a fault. Their keys are `hashed` or not."""
    cdef int count = 0
    cdef Seen *seen
    cdef Py_ssize_t start = walk.cursor.position
    while count < GROUP and next_record(walk):
        if walk.offset >= from_offset:
            seen = group + count
            seen.has_key = walk.record.key_size >= 0
            seen.is_tombstone = walk.record.value_size < 0
            seen.offset = walk.offset
            seen.timestamp = walk.timestamp
            seen.start = start
            seen.end = walk.cursor.position
            if hashed and seen.has_key:
                map.hash_key(walk.record.key, walk.record.key_size, &seen.key)
            count += 1
        start = walk.cursor.position
    return count


# Keys into the map

cdef int map_records(KeyMap map, Walk *walk, int64_t from_offset) noexcept nogil:
    """Puts the keys of a batch's records from an offset on into the map; SOUND, FULL, BAD_RECORD.

    `latest_offset` moves with each record, so that a batch with more keys than the map has room
    for is done in several passes.
    """
    cdef Seen group[GROUP]
    cdef int count = GROUP
    cdef int index
    while count == GROUP:
        count = read_group(map, walk, from_offset, True, group)
        for index in range(count):
            if group[index].has_key and not map.set_offset(&group[index].key, group[index].offset):
                return FULL
            map.latest_offset = group[index].offset
    if walk.fault != NO_FAULT:
        return BAD_RECORD
    if last_offset_of(&walk.header) >= from_offset:
        map.latest_offset = last_offset_of(&walk.header)
    return SOUND


def map_run(KeyMap map not None, data, Py_ssize_t position, int64_t from_offset):
    """Puts the keys of plain batches in `data`, from `position` on, into the map.

    Records below `from_offset` are passed over. Returns (position, why): where it ended, and a
    fault of `_native.batch` (TORN: no whole batch is left), FULL, or OTHER for a batch that is
    compressed, of a transaction, or a marker. Raises KafkaError for a batch whose records are bad.
    """
    cdef Py_buffer buffer
    cdef Walk walk
    cdef const unsigned char *bytes
    cdef int why = SOUND
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        bytes = <const unsigned char *> buffer.buf
        check_position(position, buffer.len)
        with nogil:
            while True:
                why = start_plain(bytes, buffer.len, position, &walk)
                if why != SOUND:
                    break
                if last_offset_of(&walk.header) >= from_offset:
                    why = map_records(map, &walk, from_offset)
                    if why != SOUND:
                        break
                position = walk.cursor.end
    finally:
        PyBuffer_Release(&buffer)
    if why == BAD_RECORD:
        raise_fault(&walk)
    return position, why


def map_batch(
    KeyMap map not None, BatchHeader header not None, records, Py_ssize_t start, Py_ssize_t end,
    int64_t from_offset
):
    """As `map_run`, for one batch whose records are records[start:end], not compressed.

    False if the map is full. Raises KafkaError for bad records.
    """
    cdef Py_buffer buffer
    cdef Walk walk
    cdef int why
    PyObject_GetBuffer(records, &buffer, PyBUF_SIMPLE)
    try:
        if not 0 <= start <= end <= buffer.len:
            raise IndexError(f"no bytes {start} to {end} in {buffer.len}")
        start_walk(&walk, &header.header, <const unsigned char *> buffer.buf, start, end)
        with nogil:
            why = map_records(map, &walk, from_offset)
    finally:
        PyBuffer_Release(&buffer)
    if why == BAD_RECORD:
        raise_fault(&walk)
    return why == SOUND


# What is kept

cdef class RecordFilter:
    """Rewrites batches by what a map says, into bytes that `take` gives out.

    `now_ms` decides which tombstones are over; those met for the first time, and markers whose
    transactions are empty, get `delete_horizon_ms`. `others` are last offsets, sorted int64 in the
    machine's order, of batches that a run leaves to the caller. Counts: `records_read`,
    `records_kept`, `records_without_key`.
    """

    cdef KeyMap map
    cdef int64_t now_ms
    cdef int64_t delete_horizon_ms
    cdef bytes others
    cdef unsigned char *output
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef Run *runs   # what is kept of the batch at hand
    cdef Py_ssize_t run_count
    cdef Py_ssize_t run_capacity
    cdef Py_ssize_t kept_size
    cdef readonly int64_t records_read
    cdef readonly int64_t records_kept
    cdef readonly int64_t records_without_key

    def __cinit__(
        self, KeyMap map not None, int64_t now_ms, int64_t delete_horizon_ms, bytes others not None
    ):
        self.map = map
        self.now_ms = now_ms
        self.delete_horizon_ms = delete_horizon_ms
        self.others = others

    def __dealloc__(self):
        PyMem_RawFree(self.output)
        PyMem_RawFree(self.runs)

    @property
    def output_size(self):
        """Bytes that `take` would give out."""
        return self.size

    def take(self):
        """The batches that were kept since the last call."""
        cdef bytes taken = PyBytes_FromStringAndSize(<const char *> self.output, self.size)
        self.size = 0
        return taken

    def run(self, data, Py_ssize_t position):
        """Rewrites the plain batches in `data`, from `position` on; (position, why) as `map_run`.

        OTHER also for batches whose last offset is among `others`.
        """
        cdef Py_buffer buffer
        cdef Walk walk
        cdef const unsigned char *bytes
        cdef int why = SOUND
        cdef int became = DROPPED
        cdef const int64_t *others = <const int64_t *> <const char *> self.others
        cdef Py_ssize_t other_count = len(self.others) // <Py_ssize_t> sizeof(int64_t)
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            bytes = <const unsigned char *> buffer.buf
            check_position(position, buffer.len)
            with nogil:
                while True:
                    why = start_plain(bytes, buffer.len, position, &walk)
                    if why == SOUND and is_among(
                        others, other_count, last_offset_of(&walk.header)
                    ):
                        why = OTHER
                    if why != SOUND:
                        break
                    became = self.filter_batch(bytes + position, &walk, BY_KEY, False, False)
                    if became < 0:
                        break
                    position = walk.cursor.end
        finally:
            PyBuffer_Release(&buffer)
        if became < 0:
            raise_failure(became, &walk)
        return position, why

    def rewrite(
        self, BatchHeader header not None, batch, records, Py_ssize_t start, Py_ssize_t end, *,
        int keep, bint keep_empty, bint set_horizon
    ):
        """Rewrites one batch, of which `batch` is the bytes, and records[start:end] the records,
        not compressed; what became of it.

        REWRITTEN records are not compressed, whatever the batch was. With `keep_empty` a batch of
        which no record is left stays as a header; with `set_horizon` it gets the delete horizon,
        unless it has one. Raises KafkaError for bad records.
        """
        cdef Py_buffer whole, buffer
        cdef Walk walk
        cdef int became
        PyObject_GetBuffer(batch, &whole, PyBUF_SIMPLE)
        try:
            if whole.len != header.size:
                raise ValueError(f"{whole.len} bytes are no batch of {header.size}")
            PyObject_GetBuffer(records, &buffer, PyBUF_SIMPLE)
            try:
                if not 0 <= start <= end <= buffer.len:
                    raise IndexError(f"no bytes {start} to {end} in {buffer.len}")
                start_walk(&walk, &header.header, <const unsigned char *> buffer.buf, start, end)
                with nogil:
                    became = self.filter_batch(
                        <const unsigned char *> whole.buf, &walk, keep, keep_empty, set_horizon
                    )
            finally:
                PyBuffer_Release(&buffer)
        finally:
            PyBuffer_Release(&whole)
        if became < 0:
            raise_failure(became, &walk)
        return became

    cdef int filter_batch(
        self, const unsigned char *batch, Walk *walk, int keep, bint keep_empty, bint set_horizon
    ) noexcept nogil:
        """What becomes of the batch whose records `walk` is before; FAILED, NO_MEMORY."""
        cdef Seen group[GROUP]
        cdef Header *header = &walk.header
        cdef int32_t kept_count = 0
        cdef int64_t max_timestamp = -1
        cdef int count = GROUP if keep != KEEP_NONE else 0
        cdef int index
        self.run_count = 0
        self.kept_size = 0
        while count == GROUP:
            count = read_group(self.map, walk, INT64_MIN, keep == BY_KEY, group)
            self.records_read += count
            for index in range(count):
                if keep == BY_KEY and not self.is_kept(header, group + index):
                    continue
                if not self.note_kept(group + index):
                    return NO_MEMORY
                kept_count += 1
                max_timestamp = max(max_timestamp, group[index].timestamp)
                set_horizon = set_horizon or group[index].is_tombstone
        if keep != KEEP_NONE and walk.fault != NO_FAULT:
            return FAILED
        self.records_kept += kept_count
        if kept_count == 0:
            return self.put_empty(header) if keep_empty else DROPPED
        if header.attributes & DELETE_HORIZON_BIT:
            set_horizon = False
        if kept_count == header.record_count and not set_horizon:
            return self.put_copy(batch, LOG_OVERHEAD + <Py_ssize_t> header.batch_length)
        if header.attributes & LOG_APPEND_TIME_BIT:
            max_timestamp = header.max_timestamp
        return self.put_rewritten(
            header, walk.cursor.data, kept_count, max_timestamp, set_horizon
        )

    cdef bint is_kept(self, const Header *header, const Seen *seen) noexcept nogil:
        """Is this the last value of its key, or a tombstone that is still needed?"""
        if seen.offset > self.map.latest_offset:
            return True
        if not seen.has_key:
            self.records_without_key += 1
            return False
        if seen.offset < self.map.find_offset(&seen.key):
            return False
        return (
            not seen.is_tombstone
            or not header.attributes & DELETE_HORIZON_BIT
            or self.now_ms < header.base_timestamp
        )

    cdef bint note_kept(self, const Seen *seen) noexcept nogil:
        """Takes note that a record is kept; False without memory."""
        cdef void *grown
        cdef Py_ssize_t capacity
        self.kept_size += seen.end - seen.start
        if self.run_count > 0 and self.runs[self.run_count - 1].end == seen.start:
            self.runs[self.run_count - 1].end = seen.end
            return True
        if self.run_count == self.run_capacity:
            capacity = max(<Py_ssize_t> 64, 2 * self.run_capacity)
            grown = PyMem_RawRealloc(self.runs, capacity * sizeof(Run))
            if grown == NULL:
                return False
            self.runs = <Run *> grown
            self.run_capacity = capacity
        self.runs[self.run_count].start = seen.start
        self.runs[self.run_count].end = seen.end
        self.run_count += 1
        return True

    cdef unsigned char *room(self, Py_ssize_t size) noexcept nogil:
        """Where `size` bytes may be written behind the output so far; NULL without memory."""
        cdef void *grown
        cdef Py_ssize_t capacity
        if size > self.capacity - self.size:
            capacity = max(2 * self.capacity, self.size + size)
            grown = PyMem_RawRealloc(self.output, capacity)
            if grown == NULL:
                return NULL
            self.output = <unsigned char *> grown
            self.capacity = capacity
        return self.output + self.size

    cdef int put_copy(self, const unsigned char *batch, Py_ssize_t size) noexcept nogil:
        cdef unsigned char *to = self.room(size)
        if to == NULL:
            return NO_MEMORY
        memcpy(to, batch, size)
        self.size += size
        return COPIED

    cdef int put_empty(self, const Header *header) noexcept nogil:
        """The header alone: it tells of the offsets and the producer's last sequence."""
        cdef Header made = header[0]
        cdef unsigned char *to = self.room(HEADER_SIZE)
        if to == NULL:
            return NO_MEMORY
        made.batch_length = HEADER_SIZE - LOG_OVERHEAD
        made.attributes &= LOG_APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT
        made.base_timestamp = -1
        made.record_count = 0
        write_header(to, &made)
        self.size += HEADER_SIZE
        return EMPTIED

    cdef int put_rewritten(
        self, const Header *header, const unsigned char *records, int32_t kept_count,
        int64_t max_timestamp, bint set_horizon
    ) noexcept nogil:
        """The runs that are kept, in a batch of their own with the same offsets.

        A delete horizon stands in the place of the base timestamp, so the timestamps of all records
        are counted from there; else records are copied as they are.
        """
        cdef Header made = header[0]
        cdef unsigned char *to = self.room(
            HEADER_SIZE + self.kept_size + <Py_ssize_t> kept_count * MAX_GROWTH
        )
        cdef unsigned char *at
        cdef const Run *run
        cdef int64_t shift = 0
        cdef Py_ssize_t index
        if to == NULL:
            return NO_MEMORY
        made.attributes &= ~CODEC_MASK
        made.max_timestamp = max_timestamp
        made.record_count = kept_count
        if set_horizon:
            made.attributes |= DELETE_HORIZON_BIT
            made.base_timestamp = self.delete_horizon_ms
            shift = wrapping_sum(header.base_timestamp, -self.delete_horizon_ms)
        at = to + HEADER_SIZE
        for index in range(self.run_count):
            run = self.runs + index
            if shift == 0:
                memcpy(at, records + run.start, run.end - run.start)
                at += run.end - run.start
            else:
                at = put_shifted(at, records, run, shift)
        made.batch_length = <int32_t> (at - to - LOG_OVERHEAD)
        write_header(to, &made)
        self.size += at - to
        return REWRITTEN


cdef unsigned char *put_shifted(
    unsigned char *at, const unsigned char *records, const Run *run, int64_t shift
) noexcept nogil:
    """The records of a run, which are known to be sound, with other timestamp deltas."""
    cdef Cursor cursor
    cdef int8_t attributes
    cdef int64_t delta
    cdef Py_ssize_t rest, end
    cursor.data = records
    cursor.position = run.start
    cursor.end = run.end
    cursor.flexible = False
    cursor.failed = False
    while cursor.position < run.end:
        end = read_varint(&cursor)
        end += cursor.position
        attributes = read_int8(&cursor)
        delta = wrapping_sum(read_varlong(&cursor), shift)
        rest = end - cursor.position
        at = put_varint(at, 1 + varint_size(delta) + rest)
        at[0] = <unsigned char> attributes
        at = put_varint(at + 1, delta)
        memcpy(at, records + cursor.position, rest)
        at += rest
        cursor.position = end
    return at


cdef bint is_among(const int64_t *sorted, Py_ssize_t count, int64_t number) noexcept nogil:
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t middle
    while low < count:
        middle = (low + count) // 2
        if sorted[middle] == number:
            return True
        if sorted[middle] < number:
            low = middle + 1
        else:
            count = middle
    return False


cdef int raise_failure(int became, const Walk *walk) except -1:
    if became == NO_MEMORY:
        raise MemoryError
    raise_fault(walk)
    return 0
