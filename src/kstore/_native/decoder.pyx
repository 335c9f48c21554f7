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
from libc.string cimport memcpy

from kstore._native.big_endian cimport load16, load32, load64
from kstore._native.codec cimport (
    KIND_ARRAY, KIND_BOOLEAN, KIND_BYTES, KIND_INT8, KIND_INT16, KIND_INT32, KIND_INT64,
    KIND_STRING, KIND_STRUCT, KIND_UINT16, KIND_UINT32, KIND_UUID,
    Layout, Plan, Step, new_struct, put,
)

from uuid import UUID, SafeUUID

from kstore._native.codec import ZERO_UUID, DecodeError

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)

cdef enum:
    MAX_STRING_SIZE = 0x7FFF        # Kafka's limit in both forms, compact or not
    NO_VERSION = 0x8000             # above every version

cdef object zero_uuid = ZERO_UUID
cdef object set_attribute = object.__setattr__
cdef object unknown_safety = SafeUUID.unknown


cdef struct Reader:
    const unsigned char *start
    const unsigned char *at
    const unsigned char *end
    bint flexible


def decode(Plan plan, data, Py_ssize_t position=0):
    """The message that fills `data` from `position` to its end; DecodeError."""
    message, end = decode_prefix(plan, data, position)
    size = memoryview(data).nbytes
    if end != size:
        raise DecodeError(f"{size - end} bytes too many", end)
    return message


def decode_prefix(Plan plan, data, Py_ssize_t position=0):
    """The message that starts at `position`, and the position behind it; DecodeError."""
    cdef Py_buffer view
    cdef Reader reader
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        start_reading(&reader, &view, position)
        message = read_struct(&reader, plan)
        return message, reader.at - reader.start
    finally:
        PyBuffer_Release(&view)


def decode_request_header(data, Py_ssize_t position, dict flexible_from):
    """(API key, version, correlation id, client id or None, end position); DecodeError.

    `flexible_from` maps each known API key to the first version whose header ends in tagged
    fields; an unknown key's header is read without them. The client id has the old two-byte length
    in both forms, so that any broker can read it.
    """
    cdef Py_buffer view
    cdef Reader reader
    cdef const unsigned char *fixed
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        start_reading(&reader, &view, position)
        reader.flexible = False
        fixed = take(&reader, 8)
        api_key = load16(fixed)
        version = load16(fixed + 2)
        correlation_id = load32(fixed + 4)
        client_id = read_string(&reader, True)
        if version >= flexible_from.get(api_key, NO_VERSION):
            skip_tagged_fields(&reader)
        return api_key, version, correlation_id, client_id, reader.at - reader.start
    finally:
        PyBuffer_Release(&view)


def decode_response_header(data, Py_ssize_t position, bint flexible):
    """(correlation id, end position); `flexible` headers end in tagged fields. DecodeError."""
    cdef Py_buffer view
    cdef Reader reader
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        start_reading(&reader, &view, position)
        correlation_id = load32(take(&reader, 4))
        if flexible:
            skip_tagged_fields(&reader)
        return correlation_id, reader.at - reader.start
    finally:
        PyBuffer_Release(&view)


cdef int start_reading(Reader *reader, Py_buffer *view, Py_ssize_t position) except -1:
    if position < 0:
        raise ValueError(f"a position cannot be {position}")
    if position > view.len:
        raise DecodeError(f"starts {position - view.len} bytes behind the end", view.len)
    reader.start = <const unsigned char *>view.buf
    reader.at = reader.start + position
    reader.end = reader.start + view.len
    return 0


cdef int fail(Reader *reader, str reason) except -1:
    raise DecodeError(reason, reader.at - reader.start)


cdef const unsigned char *take(Reader *reader, Py_ssize_t size) except NULL:
    """The next `size` bytes, which is never negative."""
    cdef const unsigned char *at = reader.at
    if size > reader.end - at:
        fail(reader, f"{size} bytes wanted, {reader.end - at} left")
    reader.at = at + size
    return at


cdef long long read_varint(Reader *reader) except -1:
    """An unsigned varint of at most 32 bits."""
    cdef unsigned long long value = 0
    cdef int shift = 0
    cdef unsigned char byte
    while True:
        byte = take(reader, 1)[0]
        value |= <unsigned long long>(byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 28:
            fail(reader, "a varint of more than 5 bytes")
    if value > 0xFFFFFFFF:
        fail(reader, "a varint of more than 32 bits")
    return <long long>value


cdef long long read_length(Reader *reader, bint short_form, bint nullable) except -2:
    """A length or count, -1 for null. Compact forms carry one more, so that 0 is null."""
    cdef long long length
    if reader.flexible:
        length = read_varint(reader) - 1
    elif short_form:
        length = load16(take(reader, 2))
    else:
        length = load32(take(reader, 4))
    if length < 0 and not (nullable and length == -1):
        fail(reader, "null, which this version does not allow" if length == -1
             else f"a length of {length}")
    return length


cdef object read_string(Reader *reader, bint nullable):
    cdef long long size = read_length(reader, True, nullable)
    cdef const unsigned char *text
    if size < 0:
        return None
    if size > MAX_STRING_SIZE:
        fail(reader, f"a string of {size} bytes")
    text = take(reader, size)
    try:
        return PyUnicode_DecodeUTF8(<const char *>text, size, NULL)
    except UnicodeDecodeError:
        fail(reader, "a string that is not UTF-8")


cdef object read_bytes(Reader *reader, bint nullable):
    cdef long long size = read_length(reader, False, nullable)
    if size < 0:
        return None
    # Look before taking: the bytes object must not be larger than what is there.
    cdef const unsigned char *at = take(reader, size)
    return PyBytes_FromStringAndSize(<const char *>at, size)


cdef object read_uuid(Reader *reader):
    cdef const unsigned char *at = take(reader, 16)
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


cdef object read_float64(Reader *reader):
    cdef long long bits = load64(take(reader, 8))
    cdef double value
    memcpy(&value, &bits, 8)
    return value


cdef object read_array(Reader *reader, Step *step):
    cdef long long count = read_length(reader, False, step.nullable)
    cdef Py_ssize_t index = 0
    if count < 0:
        return None
    if count > (reader.end - reader.at) // step.element_min_size:
        fail(reader, f"{count} elements in {reader.end - reader.at} bytes")
    values = PyList_New(count)
    try:
        for index in range(count):
            value = read_value(reader, step.element, step, False)
            Py_INCREF(value)
            PyList_SET_ITEM(values, index, value)
    except DecodeError as error:
        error._inside(f"[{index}]")
        raise
    return values


cdef object read_value(Reader *reader, int kind, Step *step, bint nullable):
    if kind == KIND_INT32:
        return load32(take(reader, 4))
    elif kind == KIND_STRING:
        return read_string(reader, nullable)
    elif kind == KIND_INT16:
        return load16(take(reader, 2))
    elif kind == KIND_INT64:
        return load64(take(reader, 8))
    elif kind == KIND_ARRAY:
        return read_array(reader, step)
    elif kind == KIND_STRUCT:
        if nullable and <signed char>take(reader, 1)[0] < 0:
            return None
        return read_struct(reader, <Plan>step.child)
    elif kind == KIND_BYTES:
        return read_bytes(reader, nullable)
    elif kind == KIND_BOOLEAN:
        return take(reader, 1)[0] != 0
    elif kind == KIND_INT8:
        return <signed char>take(reader, 1)[0]
    elif kind == KIND_UUID:
        return read_uuid(reader)
    elif kind == KIND_UINT16:
        return <unsigned short>load16(take(reader, 2))
    elif kind == KIND_UINT32:
        return <unsigned int>load32(take(reader, 4))
    return read_float64(reader)


cdef object read_struct(Reader *reader, Plan plan):
    cdef Layout layout = plan.layout
    cdef Py_ssize_t index = 0
    cdef Step *step
    reader.flexible = plan.flexible
    message = new_struct(layout)
    try:
        for index in range(plan.plain_count):
            step = &plan.steps[index]
            put(message, step.offset, read_value(reader, step.kind, step, step.nullable))
    except DecodeError as error:
        error._inside(layout.names[plan.steps[index].index])
        raise
    for index in range(plan.plain_count, layout.count):
        step = &plan.steps[index]
        put(message, step.offset, layout.default_of(step.index))
    if plan.flexible:
        read_tagged_fields(reader, plan, message)
    return message


cdef int read_tagged_fields(Reader *reader, Plan plan, object message) except -1:
    """The fields by tag, each with its size; one that this schema does not know is skipped."""
    cdef long long remaining = read_varint(reader), tag, size
    cdef const unsigned char *whole_end = reader.end
    cdef const unsigned char *field_end
    cdef Py_ssize_t index
    cdef Step *step
    while remaining > 0:
        remaining -= 1
        tag = read_varint(reader)
        size = read_varint(reader)
        field_end = take(reader, size) + size
        for index in range(plan.plain_count, plan.plain_count + plan.tagged_count):
            step = &plan.steps[index]
            if step.tag != tag:
                continue
            reader.at = field_end - size
            reader.end = field_end
            try:
                put(message, step.offset, read_value(reader, step.kind, step, step.nullable))
                if reader.at != field_end:
                    fail(reader, f"{field_end - reader.at} bytes too many in a tagged field")
            except DecodeError as error:
                error._inside(plan.layout.names[step.index])
                raise
            reader.end = whole_end
    return 0


cdef int skip_tagged_fields(Reader *reader) except -1:
    cdef long long remaining = read_varint(reader)
    while remaining > 0:
        remaining -= 1
        read_varint(reader)
        take(reader, read_varint(reader))
    return 0
