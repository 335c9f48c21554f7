"""Decodes messages by their plans, and headers.

Invariants: no byte outside the given buffer is read, and no count or length is believed before it
was compared with the bytes that are left, so a hostile input costs at most memory in proportion to
its size. Every malformed input raises DecodeError and nothing else. What is returned holds copies,
so the buffer is free again. Everything holds the GIL; any thread.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_FromUnsignedLongLong
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from kstore._native.big_endian cimport load16, load32, load64
from kstore._native.codec cimport (
    KIND_ARRAY, KIND_BOOLEAN, KIND_BYTES, KIND_INT8, KIND_INT16, KIND_INT32, KIND_INT64,
    KIND_STRING, KIND_STRUCT, KIND_UINT16, KIND_UINT32, KIND_UUID,
    Layout, Plan, Step, new_struct, put,
)
from kstore._native.cursor cimport (
    MAX_STRING_SIZE, Cursor, cursor_over, read_unsigned_varint, skip_tags, take,
)

from uuid import UUID, SafeUUID

from kstore._native.codec import ZERO_UUID, DecodeError

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)

cdef object zero_uuid = ZERO_UUID
cdef object set_attribute = object.__setattr__
cdef object unknown_safety = SafeUUID.unknown


def decode(Plan plan not None, data, Py_ssize_t position=0):
    """The message that fills `data` from `position` to its end; DecodeError."""
    message, end = decode_prefix(plan, data, position)
    size = memoryview(data).nbytes
    if end != size:
        raise DecodeError(f"{size - end} bytes too many", end)
    return message


def decode_prefix(Plan plan not None, data, Py_ssize_t position=0):
    """The message that starts at `position`, and the position behind it; DecodeError."""
    cdef Py_buffer view
    cdef Cursor cursor
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        cursor = start_reading(&view, position, plan.flexible)
        message = read_struct(&cursor, plan)
        return message, cursor.position
    finally:
        PyBuffer_Release(&view)


def decode_response_header(data, Py_ssize_t position, bint flexible):
    """(correlation id, end position); `flexible` headers end in tagged fields. DecodeError."""
    cdef Py_buffer view
    cdef Cursor cursor
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        cursor = start_reading(&view, position, flexible)
        correlation_id = load32(need(&cursor, 4))
        skip_tags(&cursor)
        if cursor.failed:
            fail(&cursor, "malformed tagged fields")
        return correlation_id, cursor.position
    finally:
        PyBuffer_Release(&view)


cdef Cursor start_reading(const Py_buffer *view, Py_ssize_t position, bint flexible) except *:
    if position < 0:
        raise ValueError(f"a position cannot be {position}")
    if position > view.len:
        raise DecodeError(f"starts {position - view.len} bytes behind the end", view.len)
    return cursor_over(view, position, flexible)


cdef int fail(Cursor *cursor, str reason) except -1:
    raise DecodeError(reason, cursor.position)


cdef const unsigned char *need(Cursor *cursor, Py_ssize_t size) except NULL:
    """The next `size` bytes, which is never negative."""
    cdef const unsigned char *found = take(cursor, size)
    if found == NULL:
        fail(cursor, f"{size} bytes wanted, {cursor.end - cursor.position} left")
    return found


cdef long long read_varint(Cursor *cursor) except -1:
    """An unsigned varint."""
    cdef uint32_t value = read_unsigned_varint(cursor)
    if cursor.failed:
        # The cursor stays where the varint begins.
        fail(cursor, "a varint of more than 5 bytes" if cursor.end - cursor.position >= 5
             else "1 bytes wanted, 0 left")
    return value


cdef long long read_length(Cursor *cursor, bint short_form, bint nullable) except -2:
    """A length or count, -1 for null. Compact forms carry one more, so that 0 is null."""
    cdef long long length
    if cursor.flexible:
        length = read_varint(cursor) - 1
    elif short_form:
        length = load16(need(cursor, 2))
    else:
        length = load32(need(cursor, 4))
    if length < 0 and not (nullable and length == -1):
        fail(cursor, "null, which this version does not allow" if length == -1
             else f"a length of {length}")
    return length


cdef object read_string(Cursor *cursor, bint nullable):
    cdef long long size = read_length(cursor, True, nullable)
    cdef const unsigned char *text
    if size < 0:
        return None
    if size > MAX_STRING_SIZE:
        fail(cursor, f"a string of {size} bytes")
    text = need(cursor, size)
    try:
        return PyUnicode_DecodeUTF8(<const char *>text, size, NULL)
    except UnicodeDecodeError:
        fail(cursor, "a string that is not UTF-8")


cdef object read_bytes(Cursor *cursor, bint nullable):
    cdef long long size = read_length(cursor, False, nullable)
    if size < 0:
        return None
    # Look before taking: the bytes object must not be larger than what is there.
    cdef const unsigned char *at = need(cursor, size)
    return PyBytes_FromStringAndSize(<const char *>at, size)


cdef object read_uuid(Cursor *cursor):
    cdef const unsigned char *at = need(cursor, 16)
    cdef unsigned long long high = <unsigned long long>load64(at)
    cdef unsigned long long low = <unsigned long long>load64(at + 8)
    if high == 0 and low == 0:
        return zero_uuid
    # UUID's own constructor takes 1.5 us for its many forms of argument; it has only these two
    # attributes, and refuses to have them set the usual way.
    identifier = UUID.__new__(UUID)
    number = (PyLong_FromUnsignedLongLong(high) << 64) | PyLong_FromUnsignedLongLong(low)
    set_attribute(identifier, "int", number)
    set_attribute(identifier, "is_safe", unknown_safety)
    return identifier


cdef object read_float64(Cursor *cursor):
    cdef long long bits = load64(need(cursor, 8))
    cdef double value
    memcpy(&value, &bits, 8)
    return value


cdef object read_array(Cursor *cursor, Step *step):
    cdef long long count = read_length(cursor, False, step.nullable)
    cdef Py_ssize_t index = 0
    if count < 0:
        return None
    if count > (cursor.end - cursor.position) // step.element_min_size:
        fail(cursor, f"{count} elements in {cursor.end - cursor.position} bytes")
    values = PyList_New(count)
    try:
        for index in range(count):
            value = read_value(cursor, step.element, step, False)
            Py_INCREF(value)
            PyList_SET_ITEM(values, index, value)
    except DecodeError as error:
        error._inside(f"[{index}]")
        raise
    return values


cdef object read_value(Cursor *cursor, int kind, Step *step, bint nullable):
    if kind == KIND_INT32:
        return load32(need(cursor, 4))
    elif kind == KIND_STRING:
        return read_string(cursor, nullable)
    elif kind == KIND_INT16:
        return load16(need(cursor, 2))
    elif kind == KIND_INT64:
        return load64(need(cursor, 8))
    elif kind == KIND_ARRAY:
        return read_array(cursor, step)
    elif kind == KIND_STRUCT:
        if nullable and <signed char>need(cursor, 1)[0] < 0:
            return None
        return read_struct(cursor, <Plan>step.child)
    elif kind == KIND_BYTES:
        return read_bytes(cursor, nullable)
    elif kind == KIND_BOOLEAN:
        return need(cursor, 1)[0] != 0
    elif kind == KIND_INT8:
        return <signed char>need(cursor, 1)[0]
    elif kind == KIND_UUID:
        return read_uuid(cursor)
    elif kind == KIND_UINT16:
        return <unsigned short>load16(need(cursor, 2))
    elif kind == KIND_UINT32:
        return <unsigned int>load32(need(cursor, 4))
    return read_float64(cursor)


cdef object read_struct(Cursor *cursor, Plan plan):
    cdef Layout layout = plan.layout
    cdef Py_ssize_t index = 0
    cdef Step *step
    message = new_struct(layout)
    try:
        for index in range(plan.plain_count):
            step = &plan.steps[index]
            put(message, step.offset, read_value(cursor, step.kind, step, step.nullable))
    except DecodeError as error:
        error._inside(layout.names[plan.steps[index].index])
        raise
    for index in range(plan.plain_count, layout.count):
        step = &plan.steps[index]
        put(message, step.offset, layout.default_of(step.index))
    if plan.flexible:
        read_tagged_fields(cursor, plan, message)
    return message


cdef int read_tagged_fields(Cursor *cursor, Plan plan, object message) except -1:
    """The fields by tag, each with its size; one that this schema does not know is skipped."""
    cdef long long remaining = read_varint(cursor), tag, size
    cdef Py_ssize_t whole_end = cursor.end
    cdef Py_ssize_t field_end
    cdef Py_ssize_t index
    cdef Step *step
    while remaining > 0:
        remaining -= 1
        tag = read_varint(cursor)
        size = read_varint(cursor)
        need(cursor, size)
        field_end = cursor.position
        for index in range(plan.plain_count, plan.plain_count + plan.tagged_count):
            step = &plan.steps[index]
            if step.tag != tag:
                continue
            cursor.position = field_end - size
            cursor.end = field_end
            try:
                put(message, step.offset, read_value(cursor, step.kind, step, step.nullable))
                if cursor.position != field_end:
                    left = field_end - cursor.position
                    fail(cursor, f"{left} bytes too many in a tagged field")
            except DecodeError as error:
                error._inside(plan.layout.names[step.index])
                raise
            cursor.end = whole_end
    return 0
