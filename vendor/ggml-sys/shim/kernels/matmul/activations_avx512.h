/* The same as activations.h with AVX-512 and VNNI: bit for bit what the plain loops
 * compute. Lengths are multiples of 32. */
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include <immintrin.h>

#include "layout.h"

namespace ggml_sys {

/* The bit patterns of the largest magnitudes in each lane of `n` floats: as whole numbers
 * these have the same order, and NaN is the largest. */
inline __m512i largest_bits(const float *x, int n) {
    const __m512i without_sign = _mm512_set1_epi32(0x7fffffff);
    __m512i most = _mm512_setzero_si512();
    for (int i = 0; i < n; i += 16) {
        const __m512i bits = _mm512_castps_si512(_mm512_loadu_ps(x + i));
        most = _mm512_max_epi32(most, _mm512_and_si512(bits, without_sign));
    }
    return most;
}

/* What floats whose largest magnitudes are `magnitude` are multiplied by before they are
 * rounded; `scale` takes them back. */
inline __m512 inverse_scale(__m512 magnitude, __m512 *scale) {
    const __m512 most = _mm512_set1_ps(127.0f);
    *scale = _mm512_div_ps(magnitude, most);
    const __mmask16 any = _mm512_cmp_ps_mask(*scale, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_maskz_div_ps(any, most, magnitude);
}

inline void round_with(__m512 inverse, const float *x, int n, int8_t *quants) {
    const __m512 shift = _mm512_set1_ps(SHIFT);
    for (int i = 0; i < n; i += 16) {
        const __m512 shifted = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), inverse, shift);
        const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_castps_si512(shifted));
        _mm_storeu_si128((__m128i *)(quants + i), bytes);
    }
}

/* Rounds `n` floats to whole numbers of at most 127, and returns the scale that
 * takes them back. */
inline float round_to_bytes(const float *x, int n, int8_t *quants) {
    const __m512i largest = _mm512_set1_epi32(_mm512_reduce_max_epi32(largest_bits(x, n)));
    __m512 scale;
    round_with(inverse_scale(_mm512_castsi512_ps(largest), &scale), x, n, quants);
    return _mm512_cvtss_f32(scale);
}

/* In lane i the largest of the lanes of vector i, for eight vectors; the upper lanes
 * repeat them. */
inline __m512i largest_of_each(const __m512i (&v)[8]) {
    __m512i pairs[4], fours[2];
    for (int i = 0; i < 4; i++) {
        pairs[i] = _mm512_max_epi32(_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
                                    _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
    }
    for (int i = 0; i < 2; i++) {
        fours[i] = _mm512_max_epi32(_mm512_unpacklo_epi64(pairs[2 * i], pairs[2 * i + 1]),
                                    _mm512_unpackhi_epi64(pairs[2 * i], pairs[2 * i + 1]));
    }
    /* Quarters of `fours[0]` and `fours[1]` side by side. */
    const __m512i halves = _mm512_max_epi32(_mm512_shuffle_i64x2(fours[0], fours[1], 0x44),
                                            _mm512_shuffle_i64x2(fours[0], fours[1], 0xee));
    const __m512i all = _mm512_max_epi32(_mm512_shuffle_i64x2(halves, halves, 0x88),
                                         _mm512_shuffle_i64x2(halves, halves, 0xdd));
    return all;
}

/* Rounds 256 floats in blocks of 32, and writes the blocks' scales `step` apart. */
inline void round_blocks(const float *x, int8_t *quants, float *scales, int step) {
    __m512i largest[8];
    for (int i = 0; i < 8; i++) {
        largest[i] = largest_bits(x + 32 * i, 32);
    }
    __m512 scale;
    const __m512 magnitudes = _mm512_castsi512_ps(largest_of_each(largest));
    const __m512 inverse = inverse_scale(magnitudes, &scale);
    alignas(64) float scale_of[16];
    _mm512_store_ps(scale_of, scale);
    for (int i = 0; i < 8; i++) {
        scales[i * step] = scale_of[i];
        const __m512 own = _mm512_permutexvar_ps(_mm512_set1_epi32(i), inverse);
        round_with(own, x + 32 * i, 32, quants + 32 * i);
    }
}

/* Which words of vectors, one of each of `C` columns, make vector `v` of the words in
 * turn: from the first two columns, then from these and the third. */
template <int C> constexpr std::array<int32_t, 16> words_in_turn(int v, bool third) {
    std::array<int32_t, 16> from{};
    for (int lane = 0; lane < 16; lane++) {
        const int word = (16 * v + lane) / C, column = (16 * v + lane) % C;
        if (third) {
            from[lane] = column == 2 ? 16 + word : lane;
        } else {
            from[lane] = 16 * (column % 2) + word;
        }
    }
    return from;
}

template <int C, int V> inline __m512i interleaved(const __m512i (&q)[C]) {
    if constexpr (C == 1) {
        return q[0];
    } else {
        static constexpr std::array<int32_t, 16> TWO = words_in_turn<C>(V, false);
        const __m512i two =
            _mm512_permutex2var_epi32(q[0], _mm512_loadu_si512(TWO.data()), q[1]);
        if constexpr (C == 2) {
            return two;
        } else {
            static constexpr std::array<int32_t, 16> THREE = words_in_turn<C>(V, true);
            return _mm512_permutex2var_epi32(two, _mm512_loadu_si512(THREE.data()), q[2]);
        }
    }
}

/* Sums of 16 or 32 bytes each, in the first word of as many. */
template <int SUB> inline __m512i sums_of_bytes(__m512i quants) {
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, quants);
    sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, _MM_PERM_CDAB));
    sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, _MM_PERM_BADC));
    if constexpr (SUB == 32) {
        sums = _mm512_add_epi32(sums, _mm512_shuffle_i64x2(sums, sums, 0xb1));
    }
    return sums;
}

/* Rounds `n` elements of `C` columns. */
template <class F, int C>
void quantise(const float *const *columns, int n, Columns<F, C> *out) {
    static_assert(C <= 3 && RUN == 4);
    constexpr int SHARED = F::FINE ? 32 : SLAB; /* elements that share a scale */
    alignas(64) int8_t quants[C][SLAB];
    for (int c = 0; c < C; c++) {
        if (F::FINE && n == SLAB) {
            round_blocks(columns[c], quants[c], &out->scales[0][c], C);
        } else {
            for (int i = 0; i < n; i += SHARED) {
                out->scales[i / SHARED][c] =
                    round_to_bytes(columns[c] + i, std::min(SHARED, n - i), quants[c] + i);
            }
        }
        /* Vectors of 64 are read below. */
        if (n % 64 != 0) {
            std::memset(quants[c] + n, 0, 32);
        }
    }
    for (int i = 0; i < n; i += 64) {
        __m512i q[C];
        for (int c = 0; c < C; c++) {
            q[c] = _mm512_load_si512(quants[c] + i);
            alignas(64) int32_t sums[16];
            _mm512_store_si512(sums, sums_of_bytes<F::SUB>(q[c]));
            for (int j = 0; j < 64 / F::SUB; j++) {
                const int sub = i / F::SUB + j;
                const int32_t sum = sums[j * F::SUB / 4];
                if constexpr (F::OFFSET != 0) {
                    out->starts[sub][c] = -F::OFFSET * sum;
                }
                if constexpr (F::MINS) {
                    out->sums[sub / 2][c][sub % 2] = (int16_t)sum;
                }
            }
        }
        int8_t *runs = out->runs[i / RUN][0];
        _mm512_store_si512(runs, interleaved<C, 0>(q));
        if constexpr (C > 1) {
            _mm512_store_si512(runs + 64, interleaved<C, 1>(q));
        }
        if constexpr (C > 2) {
            _mm512_store_si512(runs + 128, interleaved<C, 2>(q));
        }
    }
}

} // namespace ggml_sys
