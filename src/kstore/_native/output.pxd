"""A growing buffer that replies are written into, for the writers of hot replies.

`out_free` must be called whatever happens. Big-endian, as everything on Kafka's wire.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from kstore._native.big_endian cimport store16, store32, store64


cdef struct Output:
    unsigned char *data
    Py_ssize_t size
    Py_ssize_t capacity


cdef inline unsigned char *out_room(Output *output, Py_ssize_t size) except NULL:
    """Room for `size` more bytes, counted as written."""
    cdef Py_ssize_t capacity
    cdef void *grown
    if output.size + size > output.capacity:
        capacity = max(2 * output.capacity, output.size + size, 256)
        grown = realloc(output.data, capacity)
        if grown == NULL:
            raise MemoryError
        output.data = <unsigned char *>grown
        output.capacity = capacity
    output.size += size
    return output.data + output.size - size


cdef inline int out_int16(Output *output, int16_t value) except -1:
    store16(out_room(output, 2), value)
    return 0


cdef inline int out_int32(Output *output, int32_t value) except -1:
    store32(out_room(output, 4), value)
    return 0


cdef inline int out_int64(Output *output, int64_t value) except -1:
    store64(out_room(output, 8), value)
    return 0


cdef inline int out_bytes(Output *output, const char *data, Py_ssize_t size) except -1:
    memcpy(out_room(output, size), data, size)
    return 0


cdef inline int out_unsigned_varint(Output *output, uint32_t value) except -1:
    while value >= 0x80:
        out_room(output, 1)[0] = <unsigned char>(value & 0x7F | 0x80)
        value >>= 7
    out_room(output, 1)[0] = <unsigned char>value
    return 0


cdef inline int out_count(Output *output, Py_ssize_t count, bint compact) except -1:
    """The count of an array, or the size of a byte field; -1 for null."""
    if compact:
        out_unsigned_varint(output, <uint32_t>(count + 1))
    else:
        out_int32(output, <int32_t>count)
    return 0


cdef inline int out_topic(Output *output, topic, bint compact) except -1:
    """A topic as its request named it: a string, or the 16 bytes of an id."""
    cdef bytes encoded
    if isinstance(topic, bytes):
        return out_bytes(output, topic, len(topic))
    encoded = (<str>topic).encode()
    if compact:
        out_unsigned_varint(output, <uint32_t>(len(encoded) + 1))
    else:
        out_int16(output, <int16_t>len(encoded))
    return out_bytes(output, encoded, len(encoded))


cdef inline bytes out_taken(Output *output):
    """The bytes so far; the buffer starts anew."""
    cdef bytes taken = PyBytes_FromStringAndSize(<char *>output.data, output.size)
    output.size = 0
    return taken


cdef inline void out_free(Output *output) noexcept:
    free(output.data)
