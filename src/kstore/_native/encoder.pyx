"""Encodes messages by their plans.

A value is written only if it fits its field: all others raise EncodeError, which names the field.
Everything holds the GIL; any thread, as long as nobody changes the message meanwhile.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.long cimport PyLong_Check
from cpython.object cimport PyObject, PyObject_RichCompareBool, Py_EQ
from libc.string cimport memcpy, memmove

from kstore._native.codec cimport (
    KIND_ARRAY, KIND_BOOLEAN, KIND_BYTES, KIND_INT8, KIND_INT16, KIND_INT32, KIND_INT64,
    KIND_STRING, KIND_STRUCT, KIND_UINT16, KIND_UINT32, KIND_UUID,
    Layout, Plan, Step, slot_at,
)
from kstore._native.cursor cimport MAX_STRING_SIZE
from kstore._native.output cimport (
    Output, out_bytes, out_count, out_free, out_int8, out_int16, out_int32, out_int64,
    out_string_size, out_taken, out_unsigned_varint,
)

from uuid import UUID

from kstore._native.codec import EncodeError

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1

cdef enum:
    MAX_COUNT = 0x7FFFFFFE      # its successor fits an int32


def encode(Plan plan not None, message):
    """The bytes of `message`; EncodeError."""
    cdef Output output = Output(NULL, 0, 0, plan.flexible)
    try:
        write_struct(&output, plan, message)
        return out_taken(&output)
    finally:
        out_free(&output)


cdef int write_count(Output *output, Py_ssize_t count) except -1:
    if count > MAX_COUNT:
        raise EncodeError(f"a length of {count}")
    return out_count(output, count)


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


cdef int write_string(Output *output, object value) except -1:
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
    out_string_size(output, size)
    return out_bytes(output, text, size)


cdef int write_bytes(Output *output, object value) except -1:
    cdef Py_buffer view
    try:
        PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    except (TypeError, BufferError):
        raise EncodeError(f"bytes are wanted, not {type(value).__name__}") from None
    try:
        write_count(output, view.len)
        out_bytes(output, view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef int write_uuid(Output *output, object value) except -1:
    cdef bytes packed
    if type(value) is not UUID:
        raise EncodeError(f"a UUID is wanted, not {value!r}")
    packed = value.bytes
    return out_bytes(output, <const char *>packed, 16)


cdef int write_float64(Output *output, object value) except -1:
    cdef double number
    cdef long long bits
    if not isinstance(value, (float, int)):
        raise EncodeError(f"a number is wanted, not {value!r}")
    number = value
    memcpy(&bits, &number, 8)
    return out_int64(output, bits)


@cython.boundscheck(True)  # writing an element may run Python code, which may shorten the list
cdef int write_array(Output *output, Step *step, object value) except -1:
    cdef Py_ssize_t index = 0, count
    if not isinstance(value, (list, tuple)):
        raise EncodeError(f"a list is wanted, not {value!r}")
    count = len(value)
    write_count(output, count)
    try:
        for index in range(count):
            write_value(output, step.element, step, value[index])
    except EncodeError as error:
        error._inside(f"[{index}]")
        raise
    return 0


cdef int write_null(Output *output, Step *step) except -1:
    if not step.nullable:
        raise EncodeError("None, which this version does not allow")
    if step.kind == KIND_STRUCT:
        return out_int8(output, 0xFF)
    if step.kind == KIND_STRING:
        return out_string_size(output, -1)
    return out_count(output, -1)


cdef int write_value(Output *output, int kind, Step *step, object value) except -1:
    if kind == KIND_INT32:
        out_int32(output, <int>integer(value, 32, True))
    elif kind == KIND_STRING:
        write_string(output, value)
    elif kind == KIND_INT16:
        out_int16(output, <short>integer(value, 16, True))
    elif kind == KIND_INT64:
        out_int64(output, integer(value, 64, True))
    elif kind == KIND_ARRAY:
        write_array(output, step, value)
    elif kind == KIND_STRUCT:
        write_struct(output, <Plan>step.child, value)
    elif kind == KIND_BYTES:
        write_bytes(output, value)
    elif kind == KIND_BOOLEAN:
        if value is not True and value is not False:
            raise EncodeError(f"True or False is wanted, not {value!r}")
        out_int8(output, value is True)
    elif kind == KIND_INT8:
        out_int8(output, <unsigned char>integer(value, 8, True))
    elif kind == KIND_UUID:
        write_uuid(output, value)
    elif kind == KIND_UINT16:
        out_int16(output, <short>integer(value, 16, False))
    elif kind == KIND_UINT32:
        out_int32(output, <int>integer(value, 32, False))
    else:
        write_float64(output, value)
    return 0


cdef int write_field(Output *output, Step *step, object value) except -1:
    if value is None:
        write_null(output, step)
    else:
        if step.kind == KIND_STRUCT and step.nullable:
            out_int8(output, 1)
        write_value(output, step.kind, step, value)
    return 0


cdef int write_struct(Output *output, Plan plan, object message) except -1:
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
                write_field(output, step, <object>value)
            elif index >= plan.plain_count + plan.tagged_count and not step.ignorable:
                if not is_default(layout, step, <object>value):
                    raise EncodeError(f"{<object>value!r}, in a version without this field")
    except EncodeError as error:
        error._inside(layout.names[plan.steps[index].index])
        raise
    if plan.flexible:
        write_tagged_fields(output, plan, message)
    return 0


cdef bint is_default(Layout layout, Step *step, object value) except -1:
    default = layout.defaults[step.index]
    if default is list:
        return isinstance(value, (list, tuple)) and len(value) == 0
    if type(default) is Layout:
        default = (<Layout>default).new_default()
    return value is default or PyObject_RichCompareBool(value, default, Py_EQ)


cdef int write_tagged_fields(Output *output, Plan plan, object message) except -1:
    """The tagged fields that differ from their defaults, in the order of their tags."""
    cdef unsigned long long wanted = 0
    cdef Py_ssize_t index, count = 0, at, size, moved
    cdef Step *step
    for index in range(plan.tagged_count):
        step = &plan.steps[plan.plain_count + index]
        if not is_default(plan.layout, step, <object>slot_at(message, step.offset)[0]):
            wanted |= <unsigned long long>1 << index
            count += 1
    out_unsigned_varint(output, count)
    for index in range(plan.tagged_count):
        if not wanted >> index & 1:
            continue
        step = &plan.steps[plan.plain_count + index]
        out_unsigned_varint(output, step.tag)
        at = output.size
        try:
            write_field(output, step, <object>slot_at(message, step.offset)[0])
        except EncodeError as error:
            error._inside(plan.layout.names[step.index])
            raise
        # Its size stands before it and is known only now: append it, then swap the two.
        size = output.size - at
        out_unsigned_varint(output, size)
        moved = output.size - at - size
        swap_behind(output, at, size, moved)
    return 0


cdef int swap_behind(Output *output, Py_ssize_t at, Py_ssize_t size, Py_ssize_t moved) except -1:
    """Moves the last `moved` bytes (at most 5) in front of the `size` bytes before them."""
    cdef unsigned char[5] prefix
    memcpy(prefix, output.data + at + size, moved)
    memmove(output.data + at + moved, output.data + at, size)
    memcpy(output.data + at, prefix, moved)
    return 0
