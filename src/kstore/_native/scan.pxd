"""Walking the headers of batches, for those who search more than one kind of bytes at once, and what
has to hold between one batch and the next."""

from libc.stdint cimport INT32_MAX, INT64_MAX, int64_t

from kstore._native.batch cimport Header, last_offset_of, wrapping_sum

cdef enum:
    BACKWARDS = 32   # the offsets of a batch are not above those before it, or far beyond


cdef inline bint follows(
    const Header *header, int64_t base_offset, int64_t next_offset
) noexcept nogil:
    """May this batch follow in a segment from `base_offset` on, of which `next_offset` is the end?"""
    return (
        header.base_offset >= next_offset
        and header.last_offset_delta >= 0
        and header.base_offset <= INT64_MAX - 1 - header.last_offset_delta
        and wrapping_sum(last_offset_of(header), -base_offset) <= INT32_MAX
    )


cdef struct Search:
    const unsigned char *data
    Py_ssize_t position    # in: where to begin; out: where the batch found begins, or would
    Py_ssize_t end
    int64_t offset
    int64_t timestamp
    Py_ssize_t size        # in: 0; out: of the batch found, 0 if there is none
    bint corrupt           # in: False


cdef void search_batch(void *arguments) noexcept nogil
