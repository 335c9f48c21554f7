"""Decodes and encodes the messages of the protocol by compact plans.

`kstore.wire.codec` builds one `Plan` per struct type and version out of the generated schemas; this
module walks it. It knows how values travel and nothing of versions or APIs.

Invariants: no byte outside the given buffer is read, and no count or length is believed before it
was compared with the bytes that are left, so a hostile input costs at most memory in proportion to
its size. Every malformed input raises DecodeError and nothing else. Instances are reached by the
offsets of their slots, which is why only the exact types of a plan are accepted.

Everything holds the GIL; plans are immutable, so any thread may use them.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_Check, PyLong_FromUnsignedLongLong
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyObject_RichCompareBool, Py_EQ, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.string cimport memcpy, memmove

from kstore._native.big_endian cimport load16, load32, load64, store16, store32, store64

from types import MemberDescriptorType
from uuid import UUID, SafeUUID

cdef extern from "Python.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member
    object PyType_GenericAlloc(PyTypeObject *struct_type, Py_ssize_t count)
    object PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1

cdef enum:
    MAX_STRING_SIZE = 0x7FFF        # Kafka's limit in both forms, compact or not
    MAX_TAGGED_FIELDS = 64          # of one struct's schema
    FIRST_BUFFER_SIZE = 256         # bytes; grows by doubling

KINDS = {
    "int8": KIND_INT8,
    "int16": KIND_INT16,
    "uint16": KIND_UINT16,
    "int32": KIND_INT32,
    "uint32": KIND_UINT32,
    "int64": KIND_INT64,
    "float64": KIND_FLOAT64,
    "boolean": KIND_BOOLEAN,
    "uuid": KIND_UUID,
    "string": KIND_STRING,
    "bytes": KIND_BYTES,
    "struct": KIND_STRUCT,
    "array": KIND_ARRAY,
}

ZERO_UUID = UUID(int=0)
cdef object zero_uuid = ZERO_UUID
cdef object set_attribute = object.__setattr__
cdef object unknown_safety = SafeUUID.unknown


class CodecError(ValueError):
    """What DecodeError and EncodeError share: a reason, and the field it happened in."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def __str__(self):
        return f"{self.path}: {self.reason}" if self.path else self.reason

    def _inside(self, part):
        """Says, on the way out of the recursion, which field or element the rest lies in."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{part}{separator}{self.path}"


class DecodeError(CodecError):
    """Bytes that are not a message of this type and version."""

    def __init__(self, reason, position):
        super().__init__(reason)
        self.position = position

    def __str__(self):
        return f"{super().__str__()} (at byte {self.position})"


class EncodeError(CodecError):
    """A message that the version cannot carry, or with a value that its field cannot hold."""


# --- Structs ------------------------------------------------------------------------------------

cdef inline PyObject **slot_at(object message, Py_ssize_t offset) noexcept:
    return <PyObject **>(<char *><PyObject *>message + offset)


cdef inline void put(object message, Py_ssize_t offset, object value) noexcept:
    """Fills a slot; the one place where a struct's slots are written from here."""
    cdef PyObject **slot = slot_at(message, offset)
    cdef PyObject *old = slot[0]
    Py_INCREF(value)
    slot[0] = <PyObject *>value
    Py_XDECREF(old)


cdef class Layout:
    """Where the fields of a struct type lie in its instances, and their defaults."""

    def __cinit__(self, struct_type, list fields):
        cdef Py_ssize_t index
        if not isinstance(struct_type, type):
            raise TypeError(f"a struct type is wanted, not {struct_type!r}")
        self.struct_type = struct_type
        self.names = tuple([name for name, _ in fields])
        # A struct's default is given as its class: a fresh one is made for each new parent.
        self.defaults = tuple(
            [
                default.LAYOUT if isinstance(default, type) and default is not list else default
                for _, default in fields
            ]
        )
        self.count = len(fields)
        self.offsets = <Py_ssize_t *>PyMem_Malloc(max(self.count, 1) * sizeof(Py_ssize_t))
        if self.offsets == NULL:
            raise MemoryError()
        for index in range(self.count):
            descriptor = struct_type.__dict__[self.names[index]]
            if type(descriptor) is not MemberDescriptorType:
                raise TypeError(f"{struct_type.__name__}.{self.names[index]} is not a slot")
            self.offsets[index] = (<PyMemberDescrObject *><PyObject *>descriptor).d_member.offset

    def __dealloc__(self):
        PyMem_Free(self.offsets)


cdef object default_of(Layout layout, Py_ssize_t index):
    default = layout.defaults[index]
    if default is list:
        return []
    if type(default) is Layout:
        return new_default(<Layout>default)
    return default


cdef object new_default(Layout layout):
    cdef Py_ssize_t index
    message = PyType_GenericAlloc(<PyTypeObject *>layout.struct_type, 0)
    for index in range(layout.count):
        put(message, layout.offsets[index], default_of(layout, index))
    return message


cdef class Struct:
    """The base of all structs: keyword construction, comparison and printing by value."""

    __hash__ = None

    def __init__(self, **fields):
        cdef Layout layout = <Layout?>type(self).LAYOUT
        cdef Py_ssize_t index, given = 0
        cdef PyObject *value
        if layout.struct_type is not type(self):
            raise TypeError(f"{type(self).__name__} has no layout of its own")
        for index in range(layout.count):
            value = PyDict_GetItemWithError(fields, layout.names[index])
            if value == NULL:
                put(self, layout.offsets[index], default_of(layout, index))
            else:
                put(self, layout.offsets[index], <object>value)
                given += 1
        if given != len(fields):
            unknown = ", ".join(sorted(set(fields).difference(layout.names)))
            raise TypeError(f"{type(self).__name__} has no field {unknown}")

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        for name in (<Layout>type(self).LAYOUT).names:
            if getattr(self, name) != getattr(other, name):
                return False
        return True

    def __repr__(self):
        fields = [f"{name}={getattr(self, name)!r}" for name in (<Layout>type(self).LAYOUT).names]
        return f"{type(self).__name__}({', '.join(fields)})"


# --- Plans --------------------------------------------------------------------------------------

cdef Py_ssize_t min_size_of(int kind, bint flexible, bint nullable, Plan child) noexcept:
    """The fewest bytes that a value of this kind takes on the wire."""
    if kind in (KIND_INT8, KIND_BOOLEAN):
        return 1
    if kind in (KIND_INT16, KIND_UINT16):
        return 2
    if kind in (KIND_INT32, KIND_UINT32):
        return 4
    if kind in (KIND_INT64, KIND_FLOAT64):
        return 8
    if kind == KIND_UUID:
        return 16
    if kind == KIND_STRUCT:
        return 1 if nullable else child.min_size
    if flexible:
        return 1
    return 2 if kind == KIND_STRING else 4


cdef class Plan:
    """How one struct type travels in one version.

    `plain`, `tagged` and `absent` are lists of (field name, kind, element kind, nullable,
    ignorable, tag, child plan or None): the fields in wire order, the optional ones by tag, and
    those that the version does not have. Together they name every field of the layout once.
    """

    def __cinit__(self, Layout layout, bint flexible, list plain, list tagged, list absent):
        cdef Py_ssize_t index
        cdef Step *step
        if len(plain) + len(tagged) + len(absent) != layout.count:
            raise ValueError(f"the plan of {layout.struct_type.__name__} misses fields")
        if len(tagged) > (MAX_TAGGED_FIELDS if flexible else 0):
            raise ValueError(f"{layout.struct_type.__name__} has too many tagged fields")
        self.layout = layout
        self.flexible = flexible
        self.children = []
        self.plain_count = len(plain)
        self.tagged_count = len(tagged)
        self.absent_count = len(absent)
        self.steps = <Step *>PyMem_Malloc(max(layout.count, 1) * sizeof(Step))
        if self.steps == NULL:
            raise MemoryError()
        for index, (name, kind, element, nullable, ignorable, tag, child) in enumerate(
            plain + tagged + absent
        ):
            step = &self.steps[index]
            step.kind = kind
            step.element = element
            step.nullable = nullable
            step.ignorable = ignorable
            step.tag = tag
            step.index = layout.names.index(name)
            step.offset = layout.offsets[step.index]
            step.child = <PyObject *><Plan?>child if child is not None else NULL
            self.children.append(child)
            if index < self.plain_count:
                self.min_size += min_size_of(kind, flexible, nullable, child)
        self.min_size += flexible

    def __dealloc__(self):
        PyMem_Free(self.steps)

    def decode(self, data, Py_ssize_t position=0):
        """The message that fills `data` from `position` to its end; DecodeError."""
        message, end = self.decode_prefix(data, position)
        size = memoryview(data).nbytes
        if end != size:
            raise DecodeError(f"{size - end} bytes too many", end)
        return message

    def decode_prefix(self, data, Py_ssize_t position=0):
        """The message that starts at `position`, and the position behind it; DecodeError."""
        cdef Py_buffer view
        cdef Reader reader
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            start_reading(&reader, &view, position)
            message = read_struct(&reader, self)
            return message, reader.at - reader.start
        finally:
            PyBuffer_Release(&view)

    def encode(self, message):
        """The bytes of `message`; EncodeError."""
        cdef Writer writer
        writer.start = <unsigned char *>PyMem_Malloc(FIRST_BUFFER_SIZE)
        if writer.start == NULL:
            raise MemoryError()
        writer.size = 0
        writer.capacity = FIRST_BUFFER_SIZE
        writer.flexible = self.flexible
        try:
            write_struct(&writer, self, message)
            return PyBytes_FromStringAndSize(<char *>writer.start, writer.size)
        finally:
            PyMem_Free(writer.start)


# --- Reading ------------------------------------------------------------------------------------

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
    cdef Plan child = <Plan>step.child if step.child != NULL else None
    cdef long long count = read_length(reader, False, step.nullable)
    cdef Py_ssize_t index = 0, smallest
    if count < 0:
        return None
    smallest = max(min_size_of(step.element, reader.flexible, False, child), 1)
    if count > (reader.end - reader.at) // smallest:
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
    message = PyType_GenericAlloc(<PyTypeObject *>layout.struct_type, 0)
    try:
        for index in range(plan.plain_count):
            step = &plan.steps[index]
            put(message, step.offset, read_value(reader, step.kind, step, step.nullable))
    except DecodeError as error:
        error._inside(layout.names[plan.steps[index].index])
        raise
    for index in range(plan.plain_count, layout.count):
        step = &plan.steps[index]
        put(message, step.offset, default_of(layout, step.index))
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
        if version >= flexible_from.get(api_key, MAX_STRING_SIZE + 1):
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


cdef int skip_tagged_fields(Reader *reader) except -1:
    cdef long long remaining = read_varint(reader)
    while remaining > 0:
        remaining -= 1
        read_varint(reader)
        take(reader, read_varint(reader))
    return 0


# --- Writing ------------------------------------------------------------------------------------

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
        default = new_default(<Layout>default)
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
