/* The product of one row of weights and one column of activations, for AVX-512
 * with VNNI, on blocks as they lie in the file. With a single column every byte
 * of the weights is used once, so what counts is to read as fast as memory
 * delivers. */
#pragma once

#include <type_traits>

#include <immintrin.h>

#include "layout.h"
#include "simd-mappings.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

namespace ggml_sys {

/* One slab of a column. */
struct alignas(64) ColumnSlab {
    int8_t quants[SLAB]; /* in the order in which `dot` meets them */
    int16_t sums[16]; /* of the quants, by sub-block */
    float scales[SLAB / 32]; /* one, or one for each 32 elements */
};

/* How far ahead of the arithmetic the bytes are asked for. The processor's own
 * prefetching stops at the end of each page. */
constexpr int AHEAD = 2048;

static inline void prefetch(const uint8_t *block, int bytes) {
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

template <ggml_type TYPE> float dot(const uint8_t *row, const ColumnSlab *x, int64_t length);

/* q4_K and q5_K. */
template <class Block>
float dot_with_mins(const uint8_t *row, const ColumnSlab *x, int64_t length) {
    const __m512i low4 = _mm512_set1_epi8(0x0f);
    __m512 total = _mm512_setzero_ps();
    __m128 min_total = _mm_setzero_ps();
    const Block *blocks = (const Block *)row;
    for (int64_t b = 0; b < length / SLAB; b++) {
        const Block *block = blocks + b;
        const ColumnSlab &slab = x[b];
        prefetch((const uint8_t *)block, sizeof(Block));
        const __m128i head = _mm_loadu_si128((const __m128i *)block);
        const __m256i small = scales_and_mins(head);
        const __m512i scales = _mm512_castsi256_si512(small);
        __m512i sum = _mm512_setzero_si512();
        for (int i = 0; i < 2; i++) {
            const __m512i both = _mm512_loadu_si512(block->qs + 64 * i);
            __m512i first = _mm512_and_si512(both, low4);
            __m512i second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low4);
            if constexpr (std::is_same_v<Block, block_q5_K>) {
                first = _mm512_or_si512(first, fifth_bits(block, 4 * i));
                second = _mm512_or_si512(second, fifth_bits(block, 4 * i + 1));
            }
            const int8_t *quants = slab.quants + 128 * i;
            sum = add_scaled(sum, first, quants,
                             _mm512_permutexvar_epi16(halves(4 * i, 4 * i + 2), scales));
            sum = add_scaled(sum, second, quants + 64,
                             _mm512_permutexvar_epi16(halves(4 * i + 1, 4 * i + 3), scales));
        }
        const __m128i mins = _mm_madd_epi16(_mm256_extracti128_si256(small, 1),
                                            _mm_load_si128((const __m128i *)slab.sums));
        const __m128 factors = _mm_mul_ps(_mm_cvtph_ps(head), _mm_set1_ps(slab.scales[0]));
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_broadcastss_ps(factors), total);
        min_total =
            _mm_fmadd_ps(_mm_cvtepi32_ps(mins), _mm_permute_ps(factors, 0x55), min_total);
    }
    return _mm512_reduce_add_ps(_mm512_sub_ps(total, _mm512_zextps128_ps512(min_total)));
}

template <>
inline float dot<GGML_TYPE_Q4_K>(const uint8_t *row, const ColumnSlab *x, int64_t length) {
    return dot_with_mins<block_q4_K>(row, x, length);
}

template <>
inline float dot<GGML_TYPE_Q5_K>(const uint8_t *row, const ColumnSlab *x, int64_t length) {
    return dot_with_mins<block_q5_K>(row, x, length);
}

template <>
inline float dot<GGML_TYPE_Q6_K>(const uint8_t *row, const ColumnSlab *x, int64_t length) {
    const __m512i low4 = _mm512_set1_epi8(0x0f), top2 = _mm512_set1_epi8(0x30);
    const __m512i left = _mm512_inserti64x4(_mm512_set1_epi64(4), _mm256_set1_epi64x(2), 1);
    const __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi64x(2), 1);
    /* One scale in 8 of the 32 lanes of 16 bits. */
    const __m512i runs = _mm512_srli_epi16(
        _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14,
                         13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
        3);
    __m512 total = _mm512_setzero_ps();
    const block_q6_K *blocks = (const block_q6_K *)row;
    for (int64_t b = 0; b < length / SLAB; b++) {
        const block_q6_K *block = blocks + b;
        const ColumnSlab &slab = x[b];
        prefetch((const uint8_t *)block, sizeof(block_q6_K));
        const __m256i small =
            _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)block->scales));
        const __m512i scales = _mm512_castsi256_si512(small);
        __m512i sum = _mm512_setzero_si512();
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
            const int8_t *quants = slab.quants + 128 * i;
            const __m512i at = _mm512_add_epi16(runs, _mm512_set1_epi16((short)(8 * i)));
            sum = add_scaled(sum, first, quants, _mm512_permutexvar_epi16(at, scales));
            sum = add_scaled(
                sum, second, quants + 64,
                _mm512_permutexvar_epi16(_mm512_add_epi16(at, _mm512_set1_epi16(4)), scales));
        }
        const __m256i offset = _mm256_slli_epi32(
            _mm256_madd_epi16(small, _mm256_load_si256((const __m256i *)slab.sums)),
            5); /* 32 */
        sum = _mm512_sub_epi32(sum, _mm512_zextsi256_si512(offset));
        const float factor = GGML_CPU_FP16_TO_FP32(block->d) * slab.scales[0];
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(factor), total);
    }
    return _mm512_reduce_add_ps(total);
}

template <>
inline float dot<GGML_TYPE_Q8_0>(const uint8_t *row, const ColumnSlab *x, int64_t length) {
    __m256 total = _mm256_setzero_ps();
    const block_q8_0 *blocks = (const block_q8_0 *)row;
    for (int64_t b = 0; b < length / QK8_0; b++) {
        const ColumnSlab &slab = x[b / 8];
        prefetch((const uint8_t *)(blocks + b), sizeof(block_q8_0));
        const __m256i weights = _mm256_loadu_si256((const __m256i *)blocks[b].qs);
        const __m256i quants = _mm256_load_si256((const __m256i *)(slab.quants + 32 * (b % 8)));
        const __m256i sum =
            _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_abs_epi8(weights),
                                _mm256_sign_epi8(quants, weights));
        const float factor = GGML_CPU_FP16_TO_FP32(blocks[b].d) * slab.scales[b % 8];
        total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(factor), total);
    }
    return _mm512_reduce_add_ps(_mm512_zextps256_ps512(total));
}

} // namespace ggml_sys
