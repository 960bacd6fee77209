/* The products of one row of weights and a few columns, for AVX-512 with VNNI, on
 * blocks as they lie in the file. Every byte of the weights is used once, so what
 * counts is to read as fast as memory delivers: one row after the other, the
 * order that the processor foresees. */
#pragma once

#include <type_traits>

#include <immintrin.h>

#include "layout.h"
#include "simd-mappings.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

namespace ggml_sys {

/* One slab of a column. */
struct alignas(64) Slab {
    int8_t quants[SLAB]; /* in the order in which `dot` meets them */
    int16_t sums[16]; /* of the quants, by sub-block */
    float scales[SLAB / 32]; /* one, or one for each 32 elements */
};

/* How far ahead of the arithmetic bytes are asked for, since the processor stops
 * foreseeing at the end of each page. Half as far ahead it reads slower than
 * without being asked. */
constexpr int AHEAD = 4096;

static inline void prefetch(const void *block, int bytes) {
    for (int i = 0; i < bytes; i += 64) {
        _mm_prefetch((const char *)block + AHEAD + i, _MM_HINT_T1);
    }
}

/* Products of 64 unsigned and 64 signed bytes, in pairs, times 16-bit scales. */
static inline __m512i add_scaled(__m512i sum, __m512i weights, const int8_t *x,
                                 __m512i scales) {
    return _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(weights, _mm512_load_si512(x)),
                               scales);
}

/* Each of two numbers in 16 of the 32 lanes of 16 bits. */
static inline __m512i halves(int first, int second) {
    const __m512i low = _mm512_set1_epi16((short)first);
    return _mm512_inserti64x4(low, _mm256_set1_epi16((short)second), 1);
}

/* The parts of a q4_K or q5_K block before its quants: `head` is its first 16
 * bytes, two factors and the scales and minima of 8 sub-blocks in 6 bits each. */
static inline __m256i scales_and_mins(__m128i head) {
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(3, 2, 3, 1)),
                                     _mm_setr_epi32(0, 0, 0, 4)),
                      _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m128i high =
        _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(head, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                      _mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    return _mm256_cvtepu8_epi16(_mm_or_si128(low, high));
}

/* The fifth bits of the sub-blocks `sub` and, in the upper half, `sub + 2`, as
 * bit 4 of each byte. The file has those of sub-block s as bit s. */
static inline __m512i fifth_bits(const block_q5_K *block, int sub) {
    const __m512i bits = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)block->qh));
    const __m512i turn =
        _mm512_inserti64x4(_mm512_set1_epi64(4 - sub), _mm256_set1_epi64x(2 - sub), 1);
    return _mm512_and_si512(_mm512_rolv_epi64(bits, turn), _mm512_set1_epi8(0x10));
}

/* q4_K and q5_K. */
template <class Block, int C>
void dot_with_mins(const uint8_t *row, const Slab *x, int64_t length, __m512 *sums) {
    const __m512i low4 = _mm512_set1_epi8(0x0f);
    __m512 total[C];
    __m128 min_total[C];
    for (int c = 0; c < C; c++) {
        total[c] = _mm512_setzero_ps();
        min_total[c] = _mm_setzero_ps();
    }
    const Block *blocks = (const Block *)row;
    for (int64_t b = 0; b < length / SLAB; b++) {
        const Block *block = blocks + b;
        const Slab *slabs = x + b * C;
        prefetch(block, sizeof(Block));
        const __m128i head = _mm_loadu_si128((const __m128i *)block);
        const __m256i small = scales_and_mins(head);
        const __m512i scales = _mm512_castsi256_si512(small);
        __m512i sum[C];
        for (int c = 0; c < C; c++) {
            sum[c] = _mm512_setzero_si512();
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            const __m512i both = _mm512_loadu_si512(block->qs + 64 * i);
            __m512i first = _mm512_and_si512(both, low4);
            __m512i second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low4);
            if constexpr (std::is_same_v<Block, block_q5_K>) {
                first = _mm512_or_si512(first, fifth_bits(block, 4 * i));
                second = _mm512_or_si512(second, fifth_bits(block, 4 * i + 1));
            }
            const __m512i first_scales =
                _mm512_permutexvar_epi16(halves(4 * i, 4 * i + 2), scales);
            const __m512i second_scales =
                _mm512_permutexvar_epi16(halves(4 * i + 1, 4 * i + 3), scales);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                const int8_t *quants = slabs[c].quants + 128 * i;
                sum[c] = add_scaled(sum[c], first, quants, first_scales);
                sum[c] = add_scaled(sum[c], second, quants + 64, second_scales);
            }
        }
        const __m128 factors = _mm_cvtph_ps(head);
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            const __m128i mins =
                _mm_madd_epi16(_mm256_extracti128_si256(small, 1),
                               _mm_load_si128((const __m128i *)slabs[c].sums));
            const __m128 scaled = _mm_mul_ps(factors, _mm_set1_ps(slabs[c].scales[0]));
            total[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[c]),
                                       _mm512_broadcastss_ps(scaled), total[c]);
            min_total[c] = _mm_fmadd_ps(_mm_cvtepi32_ps(mins), _mm_permute_ps(scaled, 0x55),
                                        min_total[c]);
        }
    }
    for (int c = 0; c < C; c++) {
        sums[c] = _mm512_sub_ps(total[c], _mm512_zextps128_ps512(min_total[c]));
    }
}

template <int C>
void dot_q6_K(const uint8_t *row, const Slab *x, int64_t length, __m512 *sums) {
    const __m512i low4 = _mm512_set1_epi8(0x0f), top2 = _mm512_set1_epi8(0x30);
    const __m512i left = _mm512_inserti64x4(_mm512_set1_epi64(4), _mm256_set1_epi64x(2), 1);
    const __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi64x(2), 1);
    /* One scale in 8 of the 32 lanes of 16 bits. */
    const __m512i runs = _mm512_srli_epi16(
        _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14,
                         13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
        3);
    for (int c = 0; c < C; c++) {
        sums[c] = _mm512_setzero_ps();
    }
    const block_q6_K *blocks = (const block_q6_K *)row;
    for (int64_t b = 0; b < length / SLAB; b++) {
        const block_q6_K *block = blocks + b;
        const Slab *slabs = x + b * C;
        prefetch(block, sizeof(block_q6_K));
        const __m256i small =
            _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)block->scales));
        const __m512i scales = _mm512_castsi256_si512(small);
        __m512i sum[C];
        for (int c = 0; c < C; c++) {
            sum[c] = _mm512_setzero_si512();
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            const __m512i low = _mm512_loadu_si512(block->ql + 64 * i);
            const __m512i high = _mm512_broadcast_i64x4(
                _mm256_loadu_si256((const __m256i *)(block->qh + 32 * i)));
            const __m512i first =
                _mm512_or_si512(_mm512_and_si512(low, low4),
                                _mm512_and_si512(_mm512_sllv_epi64(high, left), top2));
            const __m512i second =
                _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(low, 4), low4),
                                _mm512_and_si512(_mm512_srlv_epi64(high, right), top2));
            const __m512i at = _mm512_add_epi16(runs, _mm512_set1_epi16((short)(8 * i)));
            const __m512i first_scales = _mm512_permutexvar_epi16(at, scales);
            const __m512i second_scales =
                _mm512_permutexvar_epi16(_mm512_add_epi16(at, _mm512_set1_epi16(4)), scales);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                const int8_t *quants = slabs[c].quants + 128 * i;
                sum[c] = add_scaled(sum[c], first, quants, first_scales);
                sum[c] = add_scaled(sum[c], second, quants + 64, second_scales);
            }
        }
        const float factor = GGML_CPU_FP16_TO_FP32(block->d);
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            const __m256i offset = _mm256_slli_epi32(
                _mm256_madd_epi16(small, _mm256_load_si256((const __m256i *)slabs[c].sums)),
                5); /* 32 */
            const __m512i dots = _mm512_sub_epi32(sum[c], _mm512_zextsi256_si512(offset));
            sums[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots),
                                      _mm512_set1_ps(factor * slabs[c].scales[0]), sums[c]);
        }
    }
}

/* Each of two numbers in 8 of the 16 lanes. */
static inline __m512 halves(float first, float second) {
    return _mm512_insertf32x8(_mm512_set1_ps(first), _mm256_set1_ps(second), 1);
}

/* Two blocks at a time. A row of an odd number of blocks ends with one and nothing. */
template <int C>
void dot_q8_0(const uint8_t *row, const Slab *x, int64_t length, __m512 *sums) {
    for (int c = 0; c < C; c++) {
        sums[c] = _mm512_setzero_ps();
    }
    const block_q8_0 *blocks = (const block_q8_0 *)row;
    const int64_t n = length / QK8_0;
    for (int64_t b = 0; b < n; b += 2) {
        const bool is_pair = b + 1 < n;
        prefetch(blocks + b, 2 * sizeof(block_q8_0));
        const __m256i zero = _mm256_setzero_si256();
        const __m512i weights = _mm512_inserti64x4(
            _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)blocks[b].qs)),
            is_pair ? _mm256_loadu_si256((const __m256i *)blocks[b + 1].qs) : zero, 1);
        const __m512i sizes = _mm512_abs_epi8(weights);
        const __mmask64 negative = _mm512_movepi8_mask(weights);
        const float first = GGML_CPU_FP16_TO_FP32(blocks[b].d);
        const float second = is_pair ? GGML_CPU_FP16_TO_FP32(blocks[b + 1].d) : 0.0f;
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            const Slab &slab = x[b / 8 * C + c];
            const __m512i quants = _mm512_load_si512(slab.quants + 32 * (b % 8));
            const __m512i turned =
                _mm512_mask_sub_epi8(quants, negative, _mm512_setzero_si512(), quants);
            const __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), sizes, turned);
            const float *scales = slab.scales + b % 8;
            const __m512 factors =
                halves(first * scales[0], is_pair ? second * scales[1] : 0.0f);
            sums[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), factors, sums[c]);
        }
    }
}

/* The products of a row, `length` elements, and C columns. `x` holds a slab of
 * each column, then the next of each; column c's product is the sum of the lanes
 * of `sums[c]`. */
template <ggml_type TYPE, int C>
void dot(const uint8_t *row, const Slab *x, int64_t length, __m512 *sums) {
    if constexpr (TYPE == GGML_TYPE_Q4_K) {
        dot_with_mins<block_q4_K, C>(row, x, length, sums);
    } else if constexpr (TYPE == GGML_TYPE_Q5_K) {
        dot_with_mins<block_q5_K, C>(row, x, length, sums);
    } else if constexpr (TYPE == GGML_TYPE_Q6_K) {
        dot_q6_K<C>(row, x, length, sums);
    } else {
        static_assert(TYPE == GGML_TYPE_Q8_0);
        dot_q8_0<C>(row, x, length, sums);
    }
}

} // namespace ggml_sys
