/* The two arithmetics of the tiles: f32, and bf16 products summed in f32. Each
 * says how queries, keys, values and probabilities lie in packed memory, as units
 * of 32 bits: one f32, or a pair of bf16 that one instruction multiplies with
 * another pair. Nothing here knows of softmax or of whole problems. */
#pragma once

#include "elements.h"

#ifdef KERNEL_SIMD

namespace ggml_sys::attention {

struct F32 {
    /* Elements in a unit. */
    static constexpr int PER_UNIT = 1;
    static constexpr int EXP_DEGREE = 6;

    /* LANES units of consecutive elements of a row of queries, from unit i on. */
    static Vec query(const float *row, int64_t i, Vec scale) { return mul(load(row + i), scale); }

    static Vec multiply(Vec a, Vec b, Vec sum) { return fma(a, b, sum); }

    /* `n` rows of keys, each `width` elements long, row after row. */
    template <ggml_type TYPE>
    static void pack_keys(float *out, const char *rows, size_t stride, int n, int64_t width) {
        for (int r = 0; r < n; r++, rows += stride, out += width) {
            for (int64_t i = 0; i < width; i += LANES) {
                store(out + i, elements<TYPE>(rows, i));
            }
        }
    }

    /* Values: units that lie together belong to one element of consecutive keys. */
    template <ggml_type TYPE>
    static void pack_values(float *out, const char *rows, size_t stride, int n, int64_t width) {
        pack_keys<TYPE>(out, rows, stride, n, width);
    }

    /* Probabilities of one unit's keys. */
    static Vec probabilities(Vec first, Vec) { return first; }
};

#ifdef __AVX512BF16__

struct Bf16 {
    static constexpr int PER_UNIT = 2;
    static constexpr int EXP_DEGREE = 3;

    /* `first` in the lower half of each result, `second` in the upper. */
    static Vec neighbours(Vec first, Vec second) {
        return reinterpret_cast<Vec>(_mm512_cvtne2ps_pbh(second, first));
    }

    /* Lane by lane, `first` as the lower part of a unit and `second` as the upper. */
    static Vec pairs(Vec first, Vec second) {
        static const __m512i ORDER = _mm512_set_epi16(
            31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
            23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        const __m512i both = _mm512_castps_si512(neighbours(first, second));
        return _mm512_castsi512_ps(_mm512_permutexvar_epi16(ORDER, both));
    }

    static Vec query(const float *row, int64_t i, Vec scale) {
        const float *p = row + 2 * i;
        return neighbours(mul(load(p), scale), mul(load(p + LANES), scale));
    }

    static Vec multiply(Vec a, Vec b, Vec sum) {
        return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
    }

    template <ggml_type TYPE>
    static void pack_keys(float *out, const char *rows, size_t stride, int n, int64_t width) {
        for (int r = 0; r < n; r++, rows += stride, out += width / 2) {
            for (int64_t i = 0; i < width; i += 2 * LANES) {
                const Vec first = elements<TYPE>(rows, i), second = elements<TYPE>(rows, i + LANES);
                store(out + i / 2, neighbours(first, second));
            }
        }
    }

    template <ggml_type TYPE>
    static void pack_values(float *out, const char *rows, size_t stride, int n, int64_t width) {
        for (int r = 0; r < n; r += 2, rows += 2 * stride, out += width) {
            const bool odd_end = r + 1 == n;
            for (int64_t i = 0; i < width; i += LANES) {
                const Vec first = elements<TYPE>(rows, i);
                const Vec second = odd_end ? zero() : elements<TYPE>(rows + stride, i);
                store(out + i, pairs(first, second));
            }
        }
    }

    static Vec probabilities(Vec first, Vec second) { return pairs(first, second); }
};

#endif

} // namespace ggml_sys::attention

#endif
