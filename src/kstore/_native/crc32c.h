/* CRC-32C (Castagnoli) for loops that hold no GIL; tested equal to the crc32c package.
 *
 * On x86-64 with SSE 4.2 and PCLMULQDQ: eight bytes an instruction, three neighbouring blocks side
 * by side, since an instruction takes three cycles but one can begin in each. Elsewhere a table of
 * eight slices.
 */
#ifndef KSTORE_CRC32C_H
#define KSTORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define KSTORE_CRC32C_POLYNOMIAL 0x82F63B78u /* the lowest bit is that of the highest power */
#define KSTORE_CRC32C_LONG 1024              /* bytes of a block: the first is for long runs, */
#define KSTORE_CRC32C_SHORT 128              /* the second for what is left of them */

static uint32_t kstore_crc32c_table[8][256];
static int kstore_crc32c_ready = 0;
static int kstore_crc32c_hardware = 0;

#if defined(__x86_64__)
/* What moves a CRC past one block, and past two. */
typedef struct {
    uint32_t by_one, by_two;
} kstore_crc32c_shifts;

static kstore_crc32c_shifts kstore_crc32c_long, kstore_crc32c_short;

/* x^(8 size - 33) modulo the polynomial. */
static uint32_t kstore_crc32c_power(size_t size) {
    uint32_t power = 0x80000000u;
    for (size_t bit = 33; bit < 8 * size; bit++)
        power = (power >> 1) ^ (KSTORE_CRC32C_POLYNOMIAL & (0u - (power & 1u)));
    return power;
}

static kstore_crc32c_shifts kstore_crc32c_shifts_by(size_t size) {
    kstore_crc32c_shifts shifts = {kstore_crc32c_power(size), kstore_crc32c_power(2 * size)};
    return shifts;
}
#endif

static void kstore_crc32c_setup(void) {
    if (kstore_crc32c_ready) return;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (KSTORE_CRC32C_POLYNOMIAL & (0u - (crc & 1u)));
        kstore_crc32c_table[0][byte] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = kstore_crc32c_table[slice - 1][byte];
            kstore_crc32c_table[slice][byte] = (crc >> 8) ^ kstore_crc32c_table[0][crc & 0xff];
        }
#if defined(__x86_64__)
    __builtin_cpu_init();
    kstore_crc32c_hardware = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
    kstore_crc32c_long = kstore_crc32c_shifts_by(KSTORE_CRC32C_LONG);
    kstore_crc32c_short = kstore_crc32c_shifts_by(KSTORE_CRC32C_SHORT);
#endif
    kstore_crc32c_ready = 1;
}

#if defined(__x86_64__)
/* The CRC of three blocks of `size` bytes, `crc` that of what stands before them.
 *
 * CRC(A B C) = A x^16size + B x^8size + C. A carry-less product of two reflected numbers is theirs
 * times x, and the CRC of its eight bytes that times x^32: hence the 33 in kstore_crc32c_power. */
__attribute__((target("sse4.2,pclmul"))) static inline uint32_t kstore_crc32c_three(
    uint32_t crc, const unsigned char *data, size_t size, kstore_crc32c_shifts shifts) {
    uint64_t one = crc, two = 0, three = 0;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t words[3];
        memcpy(&words[0], data + at, 8);
        memcpy(&words[1], data + size + at, 8);
        memcpy(&words[2], data + 2 * size + at, 8);
        one = _mm_crc32_u64(one, words[0]);
        two = _mm_crc32_u64(two, words[1]);
        three = _mm_crc32_u64(three, words[2]);
    }
    __m128i shifted = _mm_xor_si128(
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)one),
                             _mm_cvtsi64_si128((long long)shifts.by_two), 0),
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)two),
                             _mm_cvtsi64_si128((long long)shifts.by_one), 0));
    return (uint32_t)(_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(shifted)) ^ three);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t kstore_crc32c_sse42(
    uint32_t crc, const unsigned char *data, size_t size) {
    for (; size >= 3 * KSTORE_CRC32C_LONG; size -= 3 * KSTORE_CRC32C_LONG) {
        crc = kstore_crc32c_three(crc, data, KSTORE_CRC32C_LONG, kstore_crc32c_long);
        data += 3 * KSTORE_CRC32C_LONG;
    }
    for (; size >= 3 * KSTORE_CRC32C_SHORT; size -= 3 * KSTORE_CRC32C_SHORT) {
        crc = kstore_crc32c_three(crc, data, KSTORE_CRC32C_SHORT, kstore_crc32c_short);
        data += 3 * KSTORE_CRC32C_SHORT;
    }
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (size--) crc = _mm_crc32_u8(crc, *data++);
    return crc;
}
#endif

static uint32_t kstore_crc32c_slices(uint32_t crc, const unsigned char *data, size_t size) {
    while (size >= 8) {
        uint32_t low = crc ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                              (uint32_t)data[3] << 24);
        crc = kstore_crc32c_table[7][low & 0xff] ^ kstore_crc32c_table[6][(low >> 8) & 0xff] ^
              kstore_crc32c_table[5][(low >> 16) & 0xff] ^ kstore_crc32c_table[4][low >> 24] ^
              kstore_crc32c_table[3][data[4]] ^ kstore_crc32c_table[2][data[5]] ^
              kstore_crc32c_table[1][data[6]] ^ kstore_crc32c_table[0][data[7]];
        data += 8;
        size -= 8;
    }
    while (size--) crc = (crc >> 8) ^ kstore_crc32c_table[0][(crc ^ *data++) & 0xff];
    return crc;
}

/* The CRC-32C of `size` bytes at `data` behind bytes whose CRC-32C is `before`: 0 if there are none.
 * `kstore_crc32c_setup` must have run once. */
static uint32_t kstore_crc32c(uint32_t before, const unsigned char *data, size_t size) {
#if defined(__x86_64__)
    if (kstore_crc32c_hardware) return ~kstore_crc32c_sse42(~before, data, size);
#endif
    return ~kstore_crc32c_slices(~before, data, size);
}

#endif
