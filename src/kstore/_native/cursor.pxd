"""A reading position in borrowed bytes, for the parsers of hot requests.

Failure is sticky: a read past the end, a wrong length or a bad varint sets `failed` and yields 0,
and so does every read after it. A parser checks `failed` where it would loop or allocate, and once
at its end; so hostile bytes cost no more than honest ones and every parser has one way to fail.
Big-endian, as everything on Kafka's wire.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t

from kstore._native.big_endian cimport load16, load32, load64


cdef struct Cursor:
    const unsigned char *data
    Py_ssize_t position
    Py_ssize_t end
    bint failed


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


cdef inline uint32_t read_unsigned_varint(Cursor *cursor) noexcept nogil:
    """At most five bytes, as Kafka's ByteUtils."""
    cdef uint32_t value = 0
    cdef int shift = 0
    cdef const unsigned char *byte
    while shift < 35:
        byte = take(cursor, 1)
        if byte == NULL:
            return 0
        value |= <uint32_t>(byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    cursor.failed = True
    return 0


cdef inline Py_ssize_t read_count(Cursor *cursor, bint compact, Py_ssize_t least_size) noexcept nogil:
    """The count of an array whose elements take `least_size` bytes or more; -1 for null.

    A count that the bytes left can't hold is a failure, so nothing is allocated for it.
    """
    cdef Py_ssize_t count
    if compact:
        count = <Py_ssize_t>read_unsigned_varint(cursor) - 1
    else:
        count = read_int32(cursor)
    if cursor.failed or count < -1 or count * least_size > cursor.end - cursor.position:
        cursor.failed = True
        return -1
    return count


cdef inline Py_ssize_t read_bytes_size(Cursor *cursor, bint compact) noexcept nogil:
    """The size of a byte field that is all there; -1 for null. The cursor stands at its start."""
    return read_count(cursor, compact, 1)


cdef inline Py_ssize_t read_string_size(Cursor *cursor, bint compact) noexcept nogil:
    """The size of a string that is all there; -1 for null. The cursor stands at its start."""
    cdef Py_ssize_t size
    if compact:
        return read_count(cursor, True, 1)
    size = read_int16(cursor)
    if cursor.failed or size < -1 or size > cursor.end - cursor.position:
        cursor.failed = True
        return -1
    return size


cdef inline void skip_tags(Cursor *cursor) noexcept nogil:
    """Passes over tagged fields (KIP-482): those we know here mean nothing to a consumer."""
    cdef uint32_t count = read_unsigned_varint(cursor)
    while count > 0 and not cursor.failed:
        read_unsigned_varint(cursor)
        take(cursor, <Py_ssize_t>read_unsigned_varint(cursor))
        count -= 1


cdef inline str read_string(Cursor *cursor, bint compact):
    """A string, or None for null; a string that is not UTF-8 is a failure."""
    cdef Py_ssize_t size = read_string_size(cursor, compact)
    cdef const unsigned char *found
    if cursor.failed or size < 0:
        return None
    found = take(cursor, size)
    try:
        return (<const char *>found)[:size].decode("utf-8")
    except UnicodeDecodeError:
        cursor.failed = True
        return None


cdef inline bytes read_uuid(Cursor *cursor):
    """The 16 bytes of a UUID."""
    cdef const unsigned char *found = take(cursor, 16)
    return (<const char *>found)[:16] if found != NULL else b""
