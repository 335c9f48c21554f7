"""Big-endian integers at any address: `load64(data)`, `store64(data, number)` and their kin."""

from libc.stdint cimport int16_t, int32_t, int64_t

cdef extern from "big_endian.h" nogil:
    int16_t load16 "kstore_load16"(const unsigned char *data)
    int32_t load32 "kstore_load32"(const unsigned char *data)
    int64_t load64 "kstore_load64"(const unsigned char *data)
    void store16 "kstore_store16"(unsigned char *data, int16_t number)
    void store32 "kstore_store32"(unsigned char *data, int32_t number)
    void store64 "kstore_store64"(unsigned char *data, int64_t number)
