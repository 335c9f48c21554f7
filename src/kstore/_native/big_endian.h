/* Big-endian integers at any address, for everything that reads or writes Kafka's formats.
 *
 * Whoever reads a size from outside includes this, and adds to it as a Py_ssize_t: there is room for
 * that only where it has 64 bits.
 */
#ifndef KSTORE_BIG_ENDIAN_H
#define KSTORE_BIG_ENDIAN_H

#include <stdint.h>
#include <string.h>

_Static_assert(sizeof(void *) == 8, "kstore needs a system of 64 bits");

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define KSTORE_SWAP16(value) __builtin_bswap16(value)
#define KSTORE_SWAP32(value) __builtin_bswap32(value)
#define KSTORE_SWAP64(value) __builtin_bswap64(value)
#else
#define KSTORE_SWAP16(value) (value)
#define KSTORE_SWAP32(value) (value)
#define KSTORE_SWAP64(value) (value)
#endif

static inline int16_t kstore_load16(const unsigned char *data) {
    uint16_t value;
    memcpy(&value, data, sizeof value);
    return (int16_t)KSTORE_SWAP16(value);
}

static inline int32_t kstore_load32(const unsigned char *data) {
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return (int32_t)KSTORE_SWAP32(value);
}

static inline int64_t kstore_load64(const unsigned char *data) {
    uint64_t value;
    memcpy(&value, data, sizeof value);
    return (int64_t)KSTORE_SWAP64(value);
}

static inline void kstore_store16(unsigned char *data, int16_t number) {
    uint16_t value = KSTORE_SWAP16((uint16_t)number);
    memcpy(data, &value, sizeof value);
}

static inline void kstore_store32(unsigned char *data, int32_t number) {
    uint32_t value = KSTORE_SWAP32((uint32_t)number);
    memcpy(data, &value, sizeof value);
}

static inline void kstore_store64(unsigned char *data, int64_t number) {
    uint64_t value = KSTORE_SWAP64((uint64_t)number);
    memcpy(data, &value, sizeof value);
}

#endif
