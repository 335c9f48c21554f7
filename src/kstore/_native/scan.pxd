"""Walking the headers of batches, for those who search more than one kind of bytes at once."""

from libc.stdint cimport int64_t

cdef struct Search:
    const unsigned char *data
    Py_ssize_t position    # in: where to begin; out: where the batch found begins, or would
    Py_ssize_t end
    int64_t offset
    int64_t timestamp
    Py_ssize_t size        # in: 0; out: of the batch found, 0 if there is none
    bint corrupt           # in: False


cdef void search_batch(void *arguments) noexcept nogil
