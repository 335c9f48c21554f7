"""A bounded map from keys to their latest offsets, as compaction needs it.

A slot is 24 bytes, the 128-bit hash of a key and an offset, and nine of ten slots are used at most:
26.7 bytes a key. Keys themselves are not kept, so two keys with the same hash would be taken for
one. The hash is SipHash-2-4 with a random seed for each map: nobody who writes records can look for
such keys, and by chance they are as rare as with Kafka's MD5. Collisions of slots go to the next
one. A large map is far larger than the processor's caches: so its memory is asked for in huge pages,
and `hash_key` has the slot fetched, for whoever hashes some keys before he looks for the first.
Memory is given by the system as it is touched. One thread at a time.

Source: Kafka's SkimpyOffsetMap.
"""

import mmap

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

__all__ = ["ENTRY_SIZE", "KeyMap", "siphash"]

ENTRY_SIZE = sizeof(Entry)

cdef extern from *:
    """
    /* A slot for each of so many equal shares of all hashes: no division. */
    #define kstore_share(hash, count) ((Py_ssize_t) (((unsigned __int128) (hash) * (count)) >> 64))
    #define kstore_prefetch(memory) __builtin_prefetch((memory), 1)
    """
    Py_ssize_t kstore_share(uint64_t hash, uint64_t count) nogil
    void kstore_prefetch(const void *memory) nogil

cdef struct Sip:
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3


cdef inline uint64_t rotate(uint64_t value, int bits) noexcept nogil:
    return value << bits | value >> (64 - bits)


cdef inline void mix(Sip *sip) noexcept nogil:
    sip.v0 += sip.v1
    sip.v1 = rotate(sip.v1, 13) ^ sip.v0
    sip.v0 = rotate(sip.v0, 32)
    sip.v2 += sip.v3
    sip.v3 = rotate(sip.v3, 16) ^ sip.v2
    sip.v0 += sip.v3
    sip.v3 = rotate(sip.v3, 21) ^ sip.v0
    sip.v2 += sip.v1
    sip.v1 = rotate(sip.v1, 17) ^ sip.v2
    sip.v2 = rotate(sip.v2, 32)


cdef inline void take_word(Sip *sip, uint64_t word) noexcept nogil:
    sip.v3 ^= word
    mix(sip)
    mix(sip)
    sip.v0 ^= word


cdef inline uint64_t finish(Sip *sip) noexcept nogil:
    mix(sip)
    mix(sip)
    mix(sip)
    mix(sip)
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3


cdef void siphash_of(
    const unsigned char *key, Py_ssize_t size, uint64_t seed_low, uint64_t seed_high,
    KeyHash *hash
) noexcept nogil:
    """SipHash-2-4 with 128 bits. Words are read in the machine's own byte order."""
    cdef Sip sip
    cdef uint64_t word = 0
    cdef Py_ssize_t position = 0
    sip.v0 = seed_low ^ <uint64_t> 0x736F6D6570736575
    sip.v1 = seed_high ^ <uint64_t> 0x646F72616E646F6D ^ 0xEE
    sip.v2 = seed_low ^ <uint64_t> 0x6C7967656E657261
    sip.v3 = seed_high ^ <uint64_t> 0x7465646279746573
    while size - position >= 8:
        memcpy(&word, key + position, 8)
        take_word(&sip, word)
        position += 8
    word = 0
    memcpy(&word, key + position, size - position)
    take_word(&sip, word | <uint64_t> size << 56)
    sip.v2 ^= 0xEE
    hash.low = finish(&sip)
    sip.v1 ^= 0xDD
    hash.high = finish(&sip)


cdef class KeyMap:
    """At most `capacity` keys with an offset each; `count` of them are there.

    `latest_offset` is the last offset up to which everything was put in, -1 before. `memory_size`
    bytes are used at most, fewer if no more than `key_count` keys can come.
    """

    def __cinit__(self, Py_ssize_t memory_size, Py_ssize_t key_count, bytes seed not None):
        cdef Py_ssize_t slots = memory_size // <Py_ssize_t> sizeof(Entry)
        if len(seed) != 16:
            raise ValueError("the seed has 16 bytes")
        if slots < 2 or key_count < 0:
            raise ValueError("the map is too small for a single key")
        if key_count < slots:
            slots = min(slots, key_count + key_count // 9 + 2)
        self.slots = slots
        self.capacity = slots * 9 // 10
        self.latest_offset = -1
        memcpy(&self.seed_low, <const char *> seed, 8)
        memcpy(&self.seed_high, <const char *> seed + 8, 8)
        self.memory = zeros(slots * <Py_ssize_t> sizeof(Entry))
        self.entries = <Entry *> address_of(self.memory)

    @property
    def memory_size(self):
        """Bytes of all slots."""
        return self.slots * <Py_ssize_t> sizeof(Entry)

    cdef void hash_key(
        self, const unsigned char *key, Py_ssize_t size, KeyHash *hash
    ) noexcept nogil:
        """The hash of a key; its slot is on its way into the processor's caches afterwards."""
        siphash_of(key, size, self.seed_low, self.seed_high, hash)
        kstore_prefetch(self.entries + kstore_share(hash.low, self.slots))

    cdef Entry *slot_of(self, const KeyHash *hash) noexcept nogil:
        """The slot of a key: its own, or the empty one where it belongs.

        A slot is always left empty, so this ends.
        """
        cdef Py_ssize_t slot = kstore_share(hash.low, self.slots)
        cdef Entry *entry
        while True:
            entry = self.entries + slot
            if entry.offset == 0:
                return entry
            if entry.hash.low == hash.low and entry.hash.high == hash.high:
                return entry
            slot += 1
            if slot == self.slots:
                slot = 0

    cdef bint set_offset(self, const KeyHash *hash, int64_t offset) noexcept nogil:
        """Notes a key's offset in place of an older one; False if there is no room for the key."""
        cdef Entry *entry = self.slot_of(hash)
        if entry.offset == 0:
            if self.count == self.capacity:
                return False
            self.count += 1
            entry.hash = hash[0]
        entry.offset = offset + 1
        return True

    cdef int64_t find_offset(self, const KeyHash *hash) noexcept nogil:
        return self.slot_of(hash).offset - 1

    def put(self, key not None, int64_t offset):
        """Notes the offset of a key, at or above 0; False if there is no room for the key."""
        cdef KeyHash hash
        if offset < 0:
            raise ValueError(f"{offset} is no offset")
        self._hash(key, &hash)
        return self.set_offset(&hash, offset)

    def get(self, key not None):
        """The latest offset of a key, -1 if it is not in the map."""
        cdef KeyHash hash
        self._hash(key, &hash)
        return self.find_offset(&hash)

    cdef int _hash(self, key, KeyHash *hash) except -1:
        cdef Py_buffer buffer
        PyObject_GetBuffer(key, &buffer, PyBUF_SIMPLE)
        self.hash_key(<const unsigned char *> buffer.buf, buffer.len, hash)
        PyBuffer_Release(&buffer)
        return 0

    def reached(self, int64_t offset):
        """Everything up to `offset` is in the map."""
        self.latest_offset = max(self.latest_offset, offset)


cdef object zeros(Py_ssize_t size):
    """So many bytes of zeros, in huge pages where the system has some. Raises MemoryError."""
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise MemoryError from None
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError):
        pass  # it is only slower
    return memory


cdef void *address_of(memory) except NULL:
    """Where the bytes lie. The map is never closed or resized, so they stay there as long as it."""
    cdef Py_buffer buffer
    cdef void *address
    PyObject_GetBuffer(memory, &buffer, PyBUF_WRITABLE)
    address = buffer.buf
    PyBuffer_Release(&buffer)
    return address


def siphash(key not None, bytes seed not None):
    """The 16 bytes of the hash, for tests of it."""
    cdef Py_buffer buffer
    cdef uint64_t words[2]
    cdef KeyHash hash
    if len(seed) != 16:
        raise ValueError("the seed has 16 bytes")
    memcpy(words, <const char *> seed, 16)
    PyObject_GetBuffer(key, &buffer, PyBUF_SIMPLE)
    siphash_of(<const unsigned char *> buffer.buf, buffer.len, words[0], words[1], &hash)
    PyBuffer_Release(&buffer)
    return (<const char *> &hash)[:sizeof(KeyHash)]
