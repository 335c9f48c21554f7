"""The map of the message codec: what a struct type and a plan look like in memory."""

from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF

cdef extern from "Python.h":
    object PyType_GenericAlloc(PyTypeObject *struct_type, Py_ssize_t count)


cdef enum Kind:
    """How a value travels. Compact forms follow from the plan's `flexible`, not from the kind."""
    KIND_INT8
    KIND_INT16
    KIND_UINT16
    KIND_INT32
    KIND_UINT32
    KIND_INT64
    KIND_FLOAT64
    KIND_BOOLEAN
    KIND_UUID
    KIND_STRING
    KIND_BYTES
    KIND_STRUCT
    KIND_ARRAY


cdef class Layout:
    """Where the fields of one struct type lie in its instances."""
    cdef readonly object struct_type
    cdef readonly tuple names
    cdef tuple defaults             # a value to share, `list`, or the Layout of a struct
    cdef Py_ssize_t count
    cdef Py_ssize_t *offsets        # bytes from the start of the instance, one per field
    cdef object default_of(self, Py_ssize_t index)
    cdef object new_default(self)


cdef class Struct:
    pass


cdef struct Step:
    int kind                        # Kind
    int element                     # Kind of what an array holds
    Py_ssize_t element_min_size     # fewest bytes of an element, at least 1
    bint nullable
    bint ignorable                  # matters for an absent field only
    unsigned int tag                # matters for a tagged field only
    Py_ssize_t index                # of the field in the layout
    Py_ssize_t offset               # of the field in the instance
    PyObject *child                 # borrowed Plan of a struct, or of an array's structs; or NULL


cdef class Plan:
    """What to read and write, in which order, for one struct type in one version."""
    cdef readonly Layout layout
    cdef readonly bint flexible
    cdef readonly Py_ssize_t min_size   # bytes that every encoded struct has at least
    cdef list children                  # owns what the steps borrow
    cdef Step *steps                    # `plain_count` written in order, then tagged, then absent
    cdef Py_ssize_t plain_count
    cdef Py_ssize_t tagged_count


cdef inline object new_struct(Layout layout):
    """An instance with empty slots, which nobody may see before all are filled."""
    return PyType_GenericAlloc(<PyTypeObject *>layout.struct_type, 0)


cdef inline PyObject **slot_at(object message, Py_ssize_t offset) noexcept:
    return <PyObject **>(<char *><PyObject *>message + offset)


cdef inline void put(object message, Py_ssize_t offset, object value) noexcept:
    """Fills a slot; the one place where native code writes one."""
    cdef PyObject **slot = slot_at(message, offset)
    cdef PyObject *old = slot[0]
    Py_INCREF(value)
    slot[0] = <PyObject *>value
    Py_XDECREF(old)
