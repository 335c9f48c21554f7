"""The map of the message codec: what a struct type and a plan look like in memory."""

from cpython.object cimport PyObject


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


cdef class Struct:
    pass


cdef struct Step:
    int kind                        # Kind
    int element                     # Kind of what an array holds
    bint nullable
    bint ignorable                  # matters for an absent field only
    unsigned int tag                # matters for a tagged field only
    Py_ssize_t index                # of the field in the layout
    Py_ssize_t offset               # of the field in the instance
    PyObject *child                 # borrowed Plan of a struct, or of an array's structs


cdef class Plan:
    """What to read and write, in which order, for one struct type in one version."""
    cdef readonly Layout layout
    cdef readonly bint flexible
    cdef readonly Py_ssize_t min_size   # bytes that every encoded struct has at least
    cdef list children                  # owns what the steps borrow
    cdef Step *steps                    # `plain_count` written in order, then tagged, then absent
    cdef Py_ssize_t plain_count
    cdef Py_ssize_t tagged_count
    cdef Py_ssize_t absent_count


cdef struct Reader:
    const unsigned char *start
    const unsigned char *at
    const unsigned char *end
    bint flexible


cdef struct Writer:
    unsigned char *start
    Py_ssize_t size
    Py_ssize_t capacity
    bint flexible
