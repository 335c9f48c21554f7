"""A growing buffer that messages are written into.

`out_free` must be called whatever happens. `flexible` is as in `cursor.pxd`. Big-endian, as
everything on Kafka's wire. Holds the GIL.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t
from libc.string cimport memcpy

from kstore._native.big_endian cimport store16, store32, store64

cdef enum:
    FIRST_CAPACITY = 256    # bytes; grows by doubling


cdef struct Output:
    unsigned char *data
    Py_ssize_t size
    Py_ssize_t capacity
    bint flexible


cdef inline unsigned char *out_room(Output *output, Py_ssize_t size) except NULL:
    """Room for `size` more bytes, counted as written. The address holds until the next call."""
    cdef Py_ssize_t capacity
    cdef void *grown
    if size > output.capacity - output.size:
        capacity = max(2 * output.capacity, output.size + size, FIRST_CAPACITY)
        grown = PyMem_Realloc(output.data, capacity)
        if grown == NULL:
            raise MemoryError
        output.data = <unsigned char *>grown
        output.capacity = capacity
    output.size += size
    return output.data + output.size - size


cdef inline int out_int8(Output *output, unsigned char value) except -1:
    out_room(output, 1)[0] = value
    return 0


cdef inline int out_int16(Output *output, int16_t value) except -1:
    store16(out_room(output, 2), value)
    return 0


cdef inline int out_int32(Output *output, int32_t value) except -1:
    store32(out_room(output, 4), value)
    return 0


cdef inline int out_int64(Output *output, int64_t value) except -1:
    store64(out_room(output, 8), value)
    return 0


cdef inline int out_bytes(Output *output, const void *data, Py_ssize_t size) except -1:
    memcpy(out_room(output, size), data, size)
    return 0


cdef inline int out_unsigned_varint(Output *output, uint32_t value) except -1:
    while value >= 0x80:
        out_int8(output, <unsigned char>(value | 0x80))
        value >>= 7
    return out_int8(output, <unsigned char>value)


cdef inline int out_count(Output *output, Py_ssize_t count) except -1:
    """The count of an array, or the size of a byte field; -1 for null."""
    if output.flexible:
        return out_unsigned_varint(output, <uint32_t>(count + 1))
    return out_int32(output, <int32_t>count)


cdef inline int out_string_size(Output *output, Py_ssize_t size) except -1:
    """The size of a string, which is at most MAX_STRING_SIZE; -1 for null."""
    if output.flexible:
        return out_unsigned_varint(output, <uint32_t>(size + 1))
    return out_int16(output, <int16_t>size)


cdef inline int out_no_tags(Output *output) except -1:
    """The end of a struct without tagged fields."""
    return out_int8(output, 0) if output.flexible else 0


cdef inline int out_topic(Output *output, topic) except -1:
    """A topic as its request named it: a string, or the 16 bytes of an id."""
    cdef bytes encoded
    if isinstance(topic, bytes):
        return out_bytes(output, <const char *>(<bytes>topic), len(<bytes>topic))
    encoded = (<str?>topic).encode()
    out_string_size(output, len(encoded))
    return out_bytes(output, <const char *>encoded, len(encoded))


cdef inline Py_ssize_t topic_end(list results, Py_ssize_t position) except -1:
    """Where the run of results of the topic at `position` ends. A result begins with its topic."""
    cdef Py_ssize_t count = len(results)
    cdef object topic = (<tuple?>results[position])[0]
    while position < count and (<tuple?>results[position])[0] == topic:
        position += 1
    return position


cdef inline int out_topic_count(Output *output, list results) except -1:
    """The count of the array of topics that `results` make: those that stand together are one."""
    cdef Py_ssize_t position = 0
    cdef Py_ssize_t count = 0
    while position < len(results):
        position = topic_end(results, position)
        count += 1
    return out_count(output, count)


cdef inline bytes out_taken(Output *output):
    """The bytes so far; the buffer starts anew."""
    cdef bytes taken = PyBytes_FromStringAndSize(<char *>output.data, output.size)
    output.size = 0
    return taken


cdef inline void out_free(Output *output) noexcept:
    PyMem_Free(output.data)
