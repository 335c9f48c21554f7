"""What the codec of messages knows of them: structs, their layouts, and plans to walk them by.

The generated messages derive from `Struct`. `kstore.wire.codec` builds one `Plan` per struct type
and version out of their schemas; `decoder` and `encoder` walk it. Nothing here knows of versions or
APIs.

Invariants: instances are reached by the offsets of their slots, so a layout is used with the exact
type that it was made for, and with no other. A plan names every field of its layout once. Both are
immutable, so any thread may use them; everything holds the GIL.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject

from types import MemberDescriptorType
from uuid import UUID

cdef extern from "Python.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member

cdef enum:
    MAX_TAGGED_FIELDS = 64          # of one struct's schema; the encoder marks them in one word

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

    cdef object default_of(self, Py_ssize_t index):
        """The default of a field; a list or struct is a new one each time."""
        default = self.defaults[index]
        if default is list:
            return []
        if type(default) is Layout:
            return (<Layout>default).new_default()
        return default

    cdef object new_default(self):
        """An instance of defaults."""
        cdef Py_ssize_t index
        message = new_struct(self)
        for index in range(self.count):
            put(message, self.offsets[index], self.default_of(index))
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
                put(self, layout.offsets[index], layout.default_of(index))
            else:
                put(self, layout.offsets[index], <object>value)
                given += 1
        if given != len(fields):
            unknown = ", ".join(sorted(set(fields).difference(layout.names)))
            raise TypeError(f"{type(self).__name__} has no field {unknown}")

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        for name in (<Layout?>type(self).LAYOUT).names:
            if getattr(self, name) != getattr(other, name):
                return False
        return True

    def __repr__(self):
        fields = [f"{name}={getattr(self, name)!r}" for name in (<Layout?>type(self).LAYOUT).names]
        return f"{type(self).__name__}({', '.join(fields)})"


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

    def __cinit__(
        self, Layout layout not None, bint flexible, list plain, list tagged, list absent
    ):
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
        self.steps = <Step *>PyMem_Malloc(max(layout.count, 1) * sizeof(Step))
        if self.steps == NULL:
            raise MemoryError()
        for index, (name, kind, element, nullable, ignorable, tag, child) in enumerate(
            plain + tagged + absent
        ):
            if index < self.plain_count + self.tagged_count and child is None:
                if KIND_STRUCT in (kind, element):
                    raise ValueError(f"the plan of {layout.struct_type.__name__}.{name} is missing")
            if child is not None and (<Plan?>child).flexible != flexible:
                raise ValueError(f"the plan of {layout.struct_type.__name__}.{name} is another's")
            step = &self.steps[index]
            step.kind = kind
            step.element = element
            step.nullable = nullable
            step.ignorable = ignorable
            step.tag = tag
            step.index = layout.names.index(name)
            step.offset = layout.offsets[step.index]
            step.child = <PyObject *>child if child is not None else NULL
            self.children.append(child)
            if index < self.plain_count + self.tagged_count:
                step.element_min_size = max(min_size_of(element, flexible, False, child), 1)
            if index < self.plain_count:
                self.min_size += min_size_of(kind, flexible, nullable, child)
        self.min_size += flexible

    def __dealloc__(self):
        PyMem_Free(self.steps)
