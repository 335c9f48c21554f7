"""The map of keys as C: for loops that run without the GIL."""

from libc.stdint cimport int64_t, uint64_t

cdef struct KeyHash:
    uint64_t low
    uint64_t high


cdef struct Entry:
    KeyHash hash
    int64_t offset     # one too high: 0 is an empty slot


cdef class KeyMap:
    cdef object memory
    cdef Entry *entries
    cdef Py_ssize_t slots
    cdef uint64_t seed_low
    cdef uint64_t seed_high
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t count
    cdef readonly int64_t latest_offset

    cdef void hash_key(
        self, const unsigned char *key, Py_ssize_t size, KeyHash *hash
    ) noexcept nogil
    cdef bint set_offset(self, const KeyHash *hash, int64_t offset) noexcept nogil
    cdef int64_t find_offset(self, const KeyHash *hash) noexcept nogil
    cdef Entry *slot_of(self, const KeyHash *hash) noexcept nogil
    cdef int _hash(self, key, KeyHash *hash) except -1
