"""A reading position in borrowed bytes, for all parsers of native code.

Failure is sticky: a read past the end, a wrong length or a bad varint sets `failed` and yields 0,
and so does every read after it. A parser checks `failed` where it would loop or allocate, and once
at its end; so hostile bytes cost no more than honest ones and every parser has one way to fail.
`flexible` says how lengths travel: as varints one too high, 0 for null (KIP-482), or as fixed
integers, -1 for null. Big-endian, as everything on Kafka's wire.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t

from kstore._native.big_endian cimport load16, load32, load64

cdef enum:
    MAX_STRING_SIZE = 0x7FFF        # bytes; Kafka's limit in both forms, flexible or not


cdef struct Cursor:
    const unsigned char *data
    Py_ssize_t position
    Py_ssize_t end
    bint flexible
    bint failed


cdef inline Cursor cursor_over(
    const Py_buffer *buffer, Py_ssize_t position, bint flexible
) noexcept nogil:
    """A cursor at `position` of the buffer, failed if that is not in it."""
    cdef Cursor cursor
    cursor.data = <const unsigned char *>buffer.buf
    cursor.position = position
    cursor.end = buffer.len
    cursor.flexible = flexible
    cursor.failed = position < 0 or position > buffer.len
    return cursor


cdef inline const unsigned char *take(Cursor *cursor, Py_ssize_t size) noexcept nogil:
    """`size` bytes, or NULL."""
    cdef const unsigned char *found
    if cursor.failed or size < 0 or size > cursor.end - cursor.position:
        cursor.failed = True
        return NULL
    found = cursor.data + cursor.position
    cursor.position += size
    return found


cdef inline int8_t read_int8(Cursor *cursor) noexcept nogil:
    cdef const unsigned char *found = take(cursor, 1)
    return <int8_t>found[0] if found != NULL else 0


cdef inline int16_t read_int16(Cursor *cursor) noexcept nogil:
    cdef const unsigned char *found = take(cursor, 2)
    return load16(found) if found != NULL else 0


cdef inline int32_t read_int32(Cursor *cursor) noexcept nogil:
    cdef const unsigned char *found = take(cursor, 4)
    return load32(found) if found != NULL else 0


cdef inline int64_t read_int64(Cursor *cursor) noexcept nogil:
    cdef const unsigned char *found = take(cursor, 8)
    return load64(found) if found != NULL else 0


cdef inline uint64_t read_base_128(Cursor *cursor, int max_bytes) noexcept nogil:
    """Seven bits a byte, the lowest first; bits above the 64th are lost, as in Kafka."""
    cdef Py_ssize_t position = cursor.position
    cdef uint64_t value = 0
    cdef int shift = 0
    while shift < 7 * max_bytes and position < cursor.end and not cursor.failed:
        value |= <uint64_t>(cursor.data[position] & 0x7F) << shift
        position += 1
        if cursor.data[position - 1] < 0x80:
            cursor.position = position
            return value
        shift += 7
    cursor.failed = True
    return 0


cdef inline uint32_t read_unsigned_varint(Cursor *cursor) noexcept nogil:
    """At most five bytes, the bits above the 32nd lost: Kafka's ByteUtils."""
    return <uint32_t>read_base_128(cursor, 5)


cdef inline Py_ssize_t read_count(Cursor *cursor, Py_ssize_t least_size) noexcept nogil:
    """The count of an array whose elements take `least_size` bytes or more; null is a failure.

    So is a count that the bytes left can't hold: nothing is allocated for it.
    """
    cdef Py_ssize_t count
    if cursor.flexible:
        count = <Py_ssize_t>read_unsigned_varint(cursor) - 1
    else:
        count = read_int32(cursor)
    if cursor.failed or count < 0 or count > (cursor.end - cursor.position) // least_size:
        cursor.failed = True
        return 0
    return count


cdef inline Py_ssize_t checked_size(
    Cursor *cursor, Py_ssize_t size, Py_ssize_t limit
) noexcept nogil:
    """A size that was read: -1 for null. The cursor stands at the bytes, which are all there."""
    if cursor.failed or size < -1 or size > limit or size > cursor.end - cursor.position:
        cursor.failed = True
        return -1
    return size


cdef inline Py_ssize_t read_bytes_size(Cursor *cursor) noexcept nogil:
    """The size of a byte field that is all there; -1 for null. The cursor stands at its start."""
    cdef Py_ssize_t size
    if cursor.flexible:
        size = <Py_ssize_t>read_unsigned_varint(cursor) - 1
    else:
        size = read_int32(cursor)
    return checked_size(cursor, size, cursor.end)


cdef inline Py_ssize_t read_string_size(Cursor *cursor) noexcept nogil:
    """The size of a string that is all there; -1 for null. The cursor stands at its start."""
    cdef Py_ssize_t size
    if cursor.flexible:
        size = <Py_ssize_t>read_unsigned_varint(cursor) - 1
    else:
        size = read_int16(cursor)
    return checked_size(cursor, size, MAX_STRING_SIZE)


cdef inline void skip_tags(Cursor *cursor) noexcept nogil:
    """Passes over tagged fields, where there are any: those known here mean nothing to a
    consumer."""
    cdef uint32_t count
    if not cursor.flexible:
        return
    count = read_unsigned_varint(cursor)
    while count > 0 and not cursor.failed:
        read_unsigned_varint(cursor)
        take(cursor, <Py_ssize_t>read_unsigned_varint(cursor))
        count -= 1


cdef inline str read_nullable_string(Cursor *cursor):
    """A string, or None for null; a string that is not UTF-8 is a failure."""
    cdef Py_ssize_t size = read_string_size(cursor)
    cdef const unsigned char *found
    if size < 0:
        return None
    found = take(cursor, size)
    try:
        return (<const char *>found)[:size].decode("utf-8")
    except UnicodeDecodeError:
        cursor.failed = True
        return None


cdef inline str read_string(Cursor *cursor):
    """As `read_nullable_string`, but null is a failure."""
    cdef str found = read_nullable_string(cursor)
    if found is None:
        cursor.failed = True
    return found


cdef inline object read_topic(Cursor *cursor, bint by_id):
    """A topic as a hot request names it: a string, or the 16 bytes of an id. None is a failure."""
    cdef const unsigned char *found
    if not by_id:
        return read_string(cursor)
    found = take(cursor, 16)
    return (<const char *>found)[:16] if found != NULL else None
