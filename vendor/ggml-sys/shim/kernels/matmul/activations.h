/* Rounds activations to 8 bits, in the order in which the innermost kernel reads
 * them. Plain loops, which compilers turn into vector instructions, but for the
 * instruction set where they were a twentieth of the time. */
#pragma once

#include <algorithm>
#include <cstring>

#include "layout.h"
#include "matmul.h"

namespace ggml_sys {

/* 1.5 · 2²³: added to a small number it leaves the nearest whole number in the low
 * bits. */
constexpr float SHIFT = 12582912.0f;

} // namespace ggml_sys

#if defined(GGML_SYS_HAS_FEW)
#include "activations_avx512.h"
#else

namespace ggml_sys {

/* Rounds `n` floats to whole numbers of at most 127, and returns the scale that
 * takes them back. */
inline float round_to_bytes(const float *x, int n, int8_t *quants) {
    /* As whole numbers the bit patterns of positive floats have the same order,
     * and NaN is the largest. */
    int32_t largest = 0;
    for (int i = 0; i < n; i++) {
        int32_t bits;
        std::memcpy(&bits, &x[i], sizeof bits);
        largest = std::max(largest, bits & 0x7fffffff);
    }
    float magnitude;
    std::memcpy(&magnitude, &largest, sizeof magnitude);
    const float scale = magnitude / 127.0f;
    const float inverse = scale > 0.0f ? 127.0f / magnitude : 0.0f;

    for (int i = 0; i < n; i++) {
        const float shifted = x[i] * inverse + SHIFT;
        int32_t bits;
        std::memcpy(&bits, &shifted, sizeof bits);
        quants[i] = (int8_t)bits;
    }
    return scale;
}

/* Rounds `n` elements of `C` columns. */
template <class F, int C>
void quantise(const float *const *columns, int n, Columns<F, C> *out) {
    constexpr int SHARED = F::FINE ? 32 : SLAB; /* elements that share a scale */
    for (int c = 0; c < C; c++) {
        alignas(64) int8_t quants[SLAB];
        for (int i = 0; i < n; i += SHARED) {
            out->scales[i / SHARED][c] =
                round_to_bytes(columns[c] + i, std::min(SHARED, n - i), quants + i);
        }
        for (int i = 0; i < n / RUN; i++) {
            std::memcpy(out->runs[i][c], quants + RUN * i, RUN);
        }
        for (int i = 0; i < n / F::SUB; i++) {
            int32_t sum = 0;
            for (int j = 0; j < F::SUB; j++) {
                sum += quants[i * F::SUB + j];
            }
            if constexpr (F::OFFSET != 0) {
                out->starts[i][c] = -F::OFFSET * sum;
            }
            if constexpr (F::MINS) {
                out->sums[i / 2][c][i % 2] = (int16_t)sum;
            }
        }
    }
}

} // namespace ggml_sys

#endif
