"""Encodes messages by their plans.

A value is written only if it fits its field: all others raise EncodeError, which names the field.
Everything holds the GIL; any thread, as long as nobody changes the message meanwhile.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyObject_RichCompareBool, Py_EQ
from libc.string cimport memcpy, memmove

from kstore._native.big_endian cimport store16, store32, store64
from kstore._native.codec cimport (
    KIND_ARRAY, KIND_BOOLEAN, KIND_BYTES, KIND_INT8, KIND_INT16, KIND_INT32, KIND_INT64,
    KIND_STRING, KIND_STRUCT, KIND_UINT16, KIND_UINT32, KIND_UUID,
    Layout, Plan, Step, slot_at,
)

from uuid import UUID

from kstore._native.codec import EncodeError

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1

cdef enum:
    MAX_STRING_SIZE = 0x7FFF        # Kafka's limit in both forms, compact or not
    FIRST_BUFFER_SIZE = 256         # bytes; grows by doubling


cdef struct Writer:
    unsigned char *start
    Py_ssize_t size
    Py_ssize_t capacity
    bint flexible


def encode(Plan plan, message):
    """The bytes of `message`; EncodeError."""
    cdef Writer writer
    writer.start = <unsigned char *>PyMem_Malloc(FIRST_BUFFER_SIZE)
    if writer.start == NULL:
        raise MemoryError()
    writer.size = 0
    writer.capacity = FIRST_BUFFER_SIZE
    writer.flexible = plan.flexible
    try:
        write_struct(&writer, plan, message)
        return PyBytes_FromStringAndSize(<char *>writer.start, writer.size)
    finally:
        PyMem_Free(writer.start)


cdef unsigned char *reserve(Writer *writer, Py_ssize_t size) except NULL:
    """Room for `size` more bytes, counted as written. The address holds until the next call."""
    cdef Py_ssize_t capacity = writer.capacity
    cdef unsigned char *grown
    if size > capacity - writer.size:
        while size > capacity - writer.size:
            capacity *= 2
        grown = <unsigned char *>PyMem_Realloc(writer.start, capacity)
        if grown == NULL:
            raise MemoryError()
        writer.start = grown
        writer.capacity = capacity
    writer.size += size
    return writer.start + writer.size - size


cdef int write_varint(Writer *writer, unsigned long long value) except -1:
    while value >= 0x80:
        reserve(writer, 1)[0] = <unsigned char>(value | 0x80)
        value >>= 7
    reserve(writer, 1)[0] = <unsigned char>value
    return 0


cdef int write_length(Writer *writer, bint short_form, Py_ssize_t length) except -1:
    """A length or count, -1 for null."""
    if length > 0x7FFFFFFE:
        raise EncodeError(f"a length of {length}")
    if writer.flexible:
        write_varint(writer, length + 1)
    elif short_form:
        store16(reserve(writer, 2), <short>length)
    else:
        store32(reserve(writer, 4), <int>length)
    return 0


cdef long long integer(object value, int bits, bint signed) except? -1:
    """`value` as a C integer, if it fits into `bits` bits."""
    cdef int overflow = 0
    cdef long long number, low, high
    if not PyLong_Check(value):
        raise EncodeError(f"an integer is wanted, not {value!r}")
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    high = <long long>((<unsigned long long>1 << (bits - signed)) - 1)
    low = -high - 1 if signed else 0
    if overflow or number < low or number > high:
        raise EncodeError(f"{value} does not fit into {bits} bits")
    return number


cdef int write_string(Writer *writer, object value) except -1:
    cdef Py_ssize_t size
    cdef const char *text
    if not isinstance(value, str):
        raise EncodeError(f"a string is wanted, not {value!r}")
    try:
        text = PyUnicode_AsUTF8AndSize(value, &size)
    except UnicodeEncodeError:
        raise EncodeError("a string that has no UTF-8 form") from None
    if size > MAX_STRING_SIZE:
        raise EncodeError(f"a string of {size} bytes")
    write_length(writer, True, size)
    memcpy(reserve(writer, size), text, size)
    return 0


cdef int write_bytes(Writer *writer, object value) except -1:
    cdef Py_buffer view
    try:
        PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    except (TypeError, BufferError):
        raise EncodeError(f"bytes are wanted, not {type(value).__name__}") from None
    try:
        write_length(writer, False, view.len)
        memcpy(reserve(writer, view.len), view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef int write_uuid(Writer *writer, object value) except -1:
    cdef bytes packed
    if type(value) is not UUID:
        raise EncodeError(f"a UUID is wanted, not {value!r}")
    packed = value.bytes
    memcpy(reserve(writer, 16), <const char *>packed, 16)
    return 0


cdef int write_float64(Writer *writer, object value) except -1:
    cdef double number
    cdef long long bits
    if not isinstance(value, (float, int)):
        raise EncodeError(f"a number is wanted, not {value!r}")
    number = value
    memcpy(&bits, &number, 8)
    store64(reserve(writer, 8), bits)
    return 0


@cython.boundscheck(True)  # writing an element may run Python code, which may shorten the list
cdef int write_array(Writer *writer, Step *step, object value) except -1:
    cdef Py_ssize_t index = 0, count
    if not isinstance(value, (list, tuple)):
        raise EncodeError(f"a list is wanted, not {value!r}")
    count = len(value)
    write_length(writer, False, count)
    try:
        for index in range(count):
            write_value(writer, step.element, step, value[index])
    except EncodeError as error:
        error._inside(f"[{index}]")
        raise
    return 0


cdef int write_null(Writer *writer, Step *step) except -1:
    if not step.nullable:
        raise EncodeError("None, which this version does not allow")
    if step.kind == KIND_STRUCT:
        reserve(writer, 1)[0] = 0xFF
    else:
        write_length(writer, step.kind == KIND_STRING, -1)
    return 0


cdef int write_value(Writer *writer, int kind, Step *step, object value) except -1:
    if kind == KIND_INT32:
        store32(reserve(writer, 4), <int>integer(value, 32, True))
    elif kind == KIND_STRING:
        write_string(writer, value)
    elif kind == KIND_INT16:
        store16(reserve(writer, 2), <short>integer(value, 16, True))
    elif kind == KIND_INT64:
        store64(reserve(writer, 8), integer(value, 64, True))
    elif kind == KIND_ARRAY:
        write_array(writer, step, value)
    elif kind == KIND_STRUCT:
        write_struct(writer, <Plan>step.child, value)
    elif kind == KIND_BYTES:
        write_bytes(writer, value)
    elif kind == KIND_BOOLEAN:
        if value is not True and value is not False:
            raise EncodeError(f"True or False is wanted, not {value!r}")
        reserve(writer, 1)[0] = value is True
    elif kind == KIND_INT8:
        reserve(writer, 1)[0] = <unsigned char>integer(value, 8, True)
    elif kind == KIND_UUID:
        write_uuid(writer, value)
    elif kind == KIND_UINT16:
        store16(reserve(writer, 2), <short>integer(value, 16, False))
    elif kind == KIND_UINT32:
        store32(reserve(writer, 4), <int>integer(value, 32, False))
    else:
        write_float64(writer, value)
    return 0


cdef int write_field(Writer *writer, Step *step, object value) except -1:
    if value is None:
        write_null(writer, step)
    else:
        if step.kind == KIND_STRUCT and step.nullable:
            reserve(writer, 1)[0] = 1
        write_value(writer, step.kind, step, value)
    return 0


cdef int write_struct(Writer *writer, Plan plan, object message) except -1:
    cdef Layout layout = plan.layout
    cdef Py_ssize_t index = 0
    cdef Step *step
    cdef PyObject *value
    if type(message) is not layout.struct_type:
        raise EncodeError(f"{layout.struct_type.__name__} is wanted, not {message!r}")
    try:
        for index in range(layout.count):
            step = &plan.steps[index]
            value = slot_at(message, step.offset)[0]
            if value == NULL:
                raise EncodeError("the field was deleted")
            if index < plan.plain_count:
                write_field(writer, step, <object>value)
            elif index >= plan.plain_count + plan.tagged_count and not step.ignorable:
                if not is_default(layout, step, <object>value):
                    raise EncodeError(f"{<object>value!r}, in a version without this field")
    except EncodeError as error:
        error._inside(layout.names[plan.steps[index].index])
        raise
    if plan.flexible:
        write_tagged_fields(writer, plan, message)
    return 0


cdef bint is_default(Layout layout, Step *step, object value) except -1:
    default = layout.defaults[step.index]
    if default is list:
        return isinstance(value, (list, tuple)) and len(value) == 0
    if type(default) is Layout:
        default = (<Layout>default).new_default()
    return value is default or PyObject_RichCompareBool(value, default, Py_EQ)


cdef int write_tagged_fields(Writer *writer, Plan plan, object message) except -1:
    """The tagged fields that differ from their defaults, in the order of their tags."""
    cdef unsigned long long wanted = 0
    cdef Py_ssize_t index, count = 0, at, size, moved
    cdef Step *step
    for index in range(plan.tagged_count):
        step = &plan.steps[plan.plain_count + index]
        if not is_default(plan.layout, step, <object>slot_at(message, step.offset)[0]):
            wanted |= <unsigned long long>1 << index
            count += 1
    write_varint(writer, count)
    for index in range(plan.tagged_count):
        if not wanted >> index & 1:
            continue
        step = &plan.steps[plan.plain_count + index]
        write_varint(writer, step.tag)
        at = writer.size
        try:
            write_field(writer, step, <object>slot_at(message, step.offset)[0])
        except EncodeError as error:
            error._inside(plan.layout.names[step.index])
            raise
        # Its size stands before it and is known only now: append it, then swap the two.
        size = writer.size - at
        write_varint(writer, size)
        moved = writer.size - at - size
        swap_behind(writer, at, size, moved)
    return 0


cdef int swap_behind(Writer *writer, Py_ssize_t at, Py_ssize_t size, Py_ssize_t moved) except -1:
    """Moves the last `moved` bytes (at most 5) in front of the `size` bytes before them."""
    cdef unsigned char[5] prefix
    memcpy(prefix, writer.start + at + size, moved)
    memmove(writer.start + at + moved, writer.start + at, size)
    memcpy(writer.start + at, prefix, moved)
    return 0
