/* The innermost kernel for AVX2: a panel times a group of columns. Products are
 * summed in 16 bits as long as they cannot overflow, then in 32. */
#pragma once

#include <algorithm>
#include <cstring>

#include <immintrin.h>

#include "layout.h"

namespace ggml_sys {

static inline __m256i broadcast_word(const void *word) {
    int32_t value;
    std::memcpy(&value, word, sizeof value);
    return _mm256_set1_epi32(value);
}

/* Fewer columns do not repay unpacking the weights. */
constexpr int64_t min_columns(ggml_type type) {
    return type == GGML_TYPE_Q8_0 ? 16 : 8;
}

/* Runs whose products may be summed in 16 bits, two products to a sum: quants
 * of the format are at most LARGEST, activations 127. */
template <class F> constexpr int SAFE_RUNS = 32767 / (2 * 127 * F::LARGEST);

/* Adds the products of `n` elements to `sums`, PANEL_ROWS for each column. */
template <class F, int C>
void multiply(const Panel &panel, const Columns<F, C> &columns, int n, float *sums) {
    constexpr int V = 2; /* vectors of rows at a time */
    constexpr int SUB_RUNS = F::SUB / 4;
    constexpr int SAFE = std::min(SUB_RUNS, std::max(1, SAFE_RUNS<F>));
    const __m256i ones = _mm256_set1_epi16(1);
    for (int row = 0; row < PANEL_ROWS; row += 8 * V) {
        __m256 totals[V][C];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                totals[v][c] = F::FINE ? _mm256_load_ps(sums + c * PANEL_ROWS + row + 8 * v)
                                       : _mm256_setzero_ps();
            }
        }
#pragma GCC unroll 1
        for (int s = 0; s < n / F::SUB; s++) {
            __m256i dots[V][C];
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
                for (int c = 0; c < C; c++) {
                    dots[v][c] = F::OFFSET && F::LARGEST <= 127
                                     ? _mm256_set1_epi32(columns.starts[s][c])
                                     : _mm256_setzero_si256();
                }
            }
#pragma GCC unroll 1
            for (int first = s * SUB_RUNS; first < (s + 1) * SUB_RUNS; first += SAFE) {
                __m256i pairs[V][C] = {};
                /* Unrolled, compilers rearrange the sums so that they need more
                 * registers than there are. */
#pragma GCC unroll 1
                for (int q = 0; q < SAFE; q++) {
                    const int run = first + q;
#pragma GCC unroll 4
                    for (int v = 0; v < V; v++) {
                        __m256i weights =
                            _mm256_load_si256((const __m256i *)panel.runs[run][row + 8 * v]);
                        __m256i size = weights;
                        if constexpr (F::LARGEST > 127) {
                            /* Unsigned, two products could overflow: signs go to
                             * the activations. */
                            weights = _mm256_xor_si256(weights, _mm256_set1_epi8((char)0x80));
                            size = _mm256_abs_epi8(weights);
                        }
#pragma GCC unroll 4
                        for (int c = 0; c < C; c++) {
                            __m256i x = broadcast_word(columns.runs[run][c]);
                            if constexpr (F::LARGEST > 127) {
                                x = _mm256_sign_epi8(x, weights);
                            }
                            pairs[v][c] = _mm256_add_epi16(pairs[v][c],
                                                           _mm256_maddubs_epi16(size, x));
                        }
                    }
                }
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
                    for (int c = 0; c < C; c++) {
                        dots[v][c] =
                            _mm256_add_epi32(dots[v][c], _mm256_madd_epi16(pairs[v][c], ones));
                    }
                }
            }
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                const __m256 scale = _mm256_load_ps(panel.scales[s] + row + 8 * v);
#pragma GCC unroll 4
                for (int c = 0; c < C; c++) {
                    __m256 dot = _mm256_cvtepi32_ps(dots[v][c]);
                    if constexpr (F::FINE) {
                        dot = _mm256_mul_ps(dot, _mm256_set1_ps(columns.scales[s][c]));
                    }
                    totals[v][c] = _mm256_fmadd_ps(dot, scale, totals[v][c]);
                }
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                if constexpr (F::MINS) {
                    __m256i dot = _mm256_setzero_si256();
                    for (int p = 0; p < SLAB / 64; p++) {
                        const __m256i mins =
                            _mm256_load_si256((const __m256i *)panel.mins[p][row + 8 * v]);
                        dot = _mm256_add_epi32(
                            dot, _mm256_madd_epi16(mins, broadcast_word(columns.sums[p][c])));
                    }
                    totals[v][c] = _mm256_fnmadd_ps(
                        _mm256_cvtepi32_ps(dot), _mm256_load_ps(panel.min_scales + row + 8 * v),
                        totals[v][c]);
                }
                float *sum = sums + c * PANEL_ROWS + row + 8 * v;
                _mm256_store_ps(sum, F::FINE
                                         ? totals[v][c]
                                         : _mm256_fmadd_ps(totals[v][c],
                                                           _mm256_set1_ps(columns.scales[0][c]),
                                                           _mm256_load_ps(sum)));
            }
        }
    }
}

} // namespace ggml_sys
