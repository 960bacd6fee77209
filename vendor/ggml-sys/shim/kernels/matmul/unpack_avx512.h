/* Unpacks blocks of 16 rows of weights into a panel. What the bits of a block
 * mean is laid down in ggml-common.h and ggml-quants.c. */
#pragma once

#include <cstring>

#include <immintrin.h>

#include "layout.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

namespace ggml_sys {

/* The blocks to unpack, of 16 rows, and what to fetch from memory meanwhile. */
struct Blocks {
    const uint8_t *rows[16];
    /* Bytes that are wanted soon, or null. Processors drop requests that come too
     * fast, so they are made as the blocks are read: as many bytes as are read. */
    const uint8_t *ahead;

    /* Four consecutive words of 32 bits of each row: the i-th of all rows in
     * out[i]. */
    void read(size_t offset, __m512i out[4]) {
        if (ahead) {
            for (int line = 0; line < 4; line++) {
                _mm_prefetch((const char *)ahead + 64 * line, _MM_HINT_T1);
            }
            ahead += 256;
        }
        __m512i v[4]; /* row j of each four in v[j] */
        for (int j = 0; j < 4; j++) {
            const auto at = [&](int row) {
                return _mm_loadu_si128((const __m128i *)(rows[row] + offset));
            };
            v[j] = _mm512_castsi128_si512(at(j));
            v[j] = _mm512_mask_broadcast_i32x4(v[j], 0x00f0, at(4 + j));
            v[j] = _mm512_mask_broadcast_i32x4(v[j], 0x0f00, at(8 + j));
            v[j] = _mm512_mask_broadcast_i32x4(v[j], 0xf000, at(12 + j));
        }
        const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]),
                      b = _mm512_unpackhi_epi32(v[0], v[1]);
        const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]),
                      d = _mm512_unpackhi_epi32(v[2], v[3]);
        out[0] = _mm512_unpacklo_epi64(a, c);
        out[1] = _mm512_unpackhi_epi64(a, c);
        out[2] = _mm512_unpacklo_epi64(b, d);
        out[3] = _mm512_unpackhi_epi64(b, d);
    }

    /* The number in half precision at an offset of each row. */
    __m512 read_half(size_t offset) const {
        uint16_t halves[16];
        for (int row = 0; row < 16; row++) {
            std::memcpy(&halves[row], rows[row] + offset, sizeof halves[row]);
        }
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)halves));
    }
};

static inline __m512i bytes(int value) {
    return _mm512_set1_epi8((char)value);
}

/* Floats of the half-precision numbers in the low or high halves of the words. */
static inline __m512 low_halves(__m512i words) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}
static inline __m512 high_halves(__m512i words) {
    return low_halves(_mm512_srli_epi32(words, 16));
}

static inline void store_run(Panel *panel, int run, int row, __m512i values) {
    _mm512_store_si512(panel->runs[run][row], values);
}

/* Scales and minima of the eight sub-blocks of a q4_K or q5_K block: 6 bits each,
 * in the 12 bytes after the two factors. */
static inline void unpack_scales_and_mins(Blocks &blocks, Panel *panel, int row) {
    __m512i head[4];
    blocks.read(0, head);
    const __m512 d = low_halves(head[0]);
    _mm512_store_ps(panel->min_scales + row, high_halves(head[0]));

    const __m512i low6 = bytes(0x3f), low4 = bytes(0x0f), top2 = bytes(0x30);
    const __m512i scales[2] = {
        _mm512_and_si512(head[1], low6),
        _mm512_or_si512(_mm512_and_si512(head[3], low4),
                        _mm512_and_si512(_mm512_srli_epi32(head[1], 2), top2)),
    };
    const __m512i mins[2] = {
        _mm512_and_si512(head[2], low6),
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(head[3], 4), low4),
                        _mm512_and_si512(_mm512_srli_epi32(head[2], 2), top2)),
    };
    const __m512i low_byte = _mm512_set1_epi32(0xff);
    for (int s = 0; s < 8; s++) {
        const __m512i scale =
            _mm512_and_si512(_mm512_srli_epi32(scales[s / 4], 8 * (s % 4)), low_byte);
        _mm512_store_ps(panel->scales[s] + row, _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale)));
    }
    for (int p = 0; p < 4; p++) {
        const __m512i two = _mm512_srli_epi32(mins[p / 2], 16 * (p % 2));
        const __m512i second =
            _mm512_slli_epi32(_mm512_and_si512(two, _mm512_set1_epi32(0xff00)), 8);
        _mm512_store_si512(panel->mins[p][row],
                           _mm512_or_si512(_mm512_and_si512(two, low_byte), second));
    }
}

template <ggml_type TYPE> void unpack(Blocks &blocks, int n, Panel *panel, int row);

/* 64 elements in 32 bytes: the low halves of the bytes, then the high halves. */
template <> inline void unpack<GGML_TYPE_Q4_K>(Blocks &blocks, int, Panel *panel, int row) {
    unpack_scales_and_mins(blocks, panel, row);
    const __m512i low4 = bytes(0x0f);
    for (int i = 0; i < 8; i++) {
        __m512i words[4];
        blocks.read(offsetof(block_q4_K, qs) + 16 * i, words);
        const int run = 16 * (i / 2) + 4 * (i % 2);
        for (int j = 0; j < 4; j++) {
            store_run(panel, run + j, row, _mm512_and_si512(words[j], low4));
            store_run(panel, run + 8 + j, row,
                        _mm512_and_si512(_mm512_srli_epi32(words[j], 4), low4));
        }
    }
}

/* As q4_K, with a fifth bit: bit s of qh[i] is that of element i of sub-block s. */
template <> inline void unpack<GGML_TYPE_Q5_K>(Blocks &blocks, int, Panel *panel, int row) {
    unpack_scales_and_mins(blocks, panel, row);
    __m512i high[8];
    blocks.read(offsetof(block_q5_K, qh), high);
    blocks.read(offsetof(block_q5_K, qh) + 16, high + 4);
    const __m512i low4 = bytes(0x0f), bit4 = bytes(0x10);
    for (int i = 0; i < 8; i++) {
        __m512i words[4];
        blocks.read(offsetof(block_q5_K, qs) + 16 * i, words);
        const int run = 16 * (i / 2) + 4 * (i % 2);
        for (int j = 0; j < 4; j++) {
            const __m512i bits =
                high[4 * (i % 2) + j]; /* of the sub-blocks i / 2 · 2 and the next */
            const __m512i first = _mm512_and_si512(
                _mm512_rolv_epi32(bits, _mm512_set1_epi32(4 - i / 2 * 2)), bit4);
            const __m512i second = _mm512_and_si512(
                _mm512_rolv_epi32(bits, _mm512_set1_epi32(3 - i / 2 * 2)), bit4);
            store_run(panel, run + j, row,
                        _mm512_or_si512(_mm512_and_si512(words[j], low4), first));
            store_run(panel, run + 8 + j, row,
                        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(words[j], 4), low4),
                                        second));
        }
    }
}

/* Each half of 128 elements has 64 bytes of low 4 bits and 32 bytes of high 2
 * bits: four runs of 32 elements, the first two in the low halves of the bytes. */
template <> inline void unpack<GGML_TYPE_Q6_K>(Blocks &blocks, int, Panel *panel, int row) {
    __m512i words[4];
    const __m512 d = blocks.read_half(offsetof(block_q6_K, d));
    blocks.read(offsetof(block_q6_K, scales), words);
    for (int s = 0; s < 16; s++) {
        const __m512i scale =
            _mm512_srai_epi32(_mm512_slli_epi32(words[s / 4], 24 - 8 * (s % 4)), 24);
        _mm512_store_ps(panel->scales[s] + row, _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale)));
    }

    const __m512i low4 = bytes(0x0f), top2 = bytes(0x30);
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 2; i++) {
            __m512i first[4], second[4], high[4];
            blocks.read(offsetof(block_q6_K, ql) + 64 * half + 16 * i, first);
            blocks.read(offsetof(block_q6_K, ql) + 64 * half + 32 + 16 * i, second);
            blocks.read(offsetof(block_q6_K, qh) + 32 * half + 16 * i, high);
            for (int j = 0; j < 4; j++) {
                const int run = 32 * half + 4 * i + j;
                const auto store = [&](int part, __m512i low, __m512i shifted) {
                    store_run(panel, run + 8 * part, row,
                                _mm512_or_si512(_mm512_and_si512(low, low4),
                                                _mm512_and_si512(shifted, top2)));
                };
                store(0, first[j], _mm512_slli_epi32(high[j], 4));
                store(1, second[j], _mm512_slli_epi32(high[j], 2));
                store(2, _mm512_srli_epi32(first[j], 4), high[j]);
                store(3, _mm512_srli_epi32(second[j], 4), _mm512_srli_epi32(high[j], 2));
            }
        }
    }
}

/* `n` elements in blocks of 32 bytes with a factor. */
template <> inline void unpack<GGML_TYPE_Q8_0>(Blocks &blocks, int n, Panel *panel, int row) {
    const __m512i sign = bytes(0x80); /* flipped, it adds the offset of 128 */
    for (int b = 0; b < n / QK8_0; b++) {
        const size_t block = b * sizeof(block_q8_0);
        _mm512_store_ps(panel->scales[b] + row,
                        blocks.read_half(block + offsetof(block_q8_0, d)));
        for (int i = 0; i < 2; i++) {
            __m512i words[4];
            blocks.read(block + offsetof(block_q8_0, qs) + 16 * i, words);
            for (int j = 0; j < 4; j++) {
                store_run(panel, 8 * b + 4 * i + j, row, _mm512_xor_si512(words[j], sign));
            }
        }
    }
}

} // namespace ggml_sys
