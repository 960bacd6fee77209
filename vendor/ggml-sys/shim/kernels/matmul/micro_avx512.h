/* The innermost kernel for AVX-512 with VNNI: a panel times a group of columns. */
#pragma once

#include <cstring>

#include <immintrin.h>

#include "layout.h"

namespace ggml_sys {

/* For fewer there is a kernel that reads memory faster than panels of rows do. */
constexpr int64_t min_columns(ggml_type) {
    return FEW + 1;
}

static inline __m512i broadcast_word(const void *word) {
    int32_t value;
    std::memcpy(&value, word, sizeof value);
    return _mm512_set1_epi32(value);
}

/* Adds the products of `n` elements to `sums`, PANEL_ROWS for each column. */
template <class F, int C>
void multiply(const Panel &panel, const Columns<F, C> &columns, int n, float *sums) {
    constexpr int V = PANEL_ROWS / 16; /* vectors of rows */
    constexpr int SUB_RUNS = F::SUB / 4;
    __m512 totals[V][C];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            totals[v][c] =
                F::FINE ? _mm512_load_ps(sums + c * PANEL_ROWS + 16 * v) : _mm512_setzero_ps();
        }
    }
#pragma GCC unroll 1
    for (int s = 0; s < n / F::SUB; s++) {
        __m512i dots[V][C];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                dots[v][c] = F::OFFSET ? _mm512_set1_epi32(columns.starts[s][c])
                                       : _mm512_setzero_si512();
            }
        }
#pragma GCC unroll 8
        for (int q = 0; q < SUB_RUNS; q++) {
            const int run = s * SUB_RUNS + q;
            __m512i weights[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                weights[v] = _mm512_load_si512(panel.runs[run][16 * v]);
            }
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                const __m512i x = broadcast_word(columns.runs[run][c]);
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) {
                    dots[v][c] = _mm512_dpbusd_epi32(dots[v][c], weights[v], x);
                }
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const __m512 scale = _mm512_load_ps(panel.scales[s] + 16 * v);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                __m512 dot = _mm512_cvtepi32_ps(dots[v][c]);
                if constexpr (F::FINE) {
                    dot = _mm512_mul_ps(dot, _mm512_set1_ps(columns.scales[s][c]));
                }
                totals[v][c] = _mm512_fmadd_ps(dot, scale, totals[v][c]);
            }
        }
    }
    if constexpr (F::MINS) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const __m512 min_scale = _mm512_load_ps(panel.min_scales + 16 * v);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                __m512i dot = _mm512_setzero_si512();
#pragma GCC unroll 4
                for (int p = 0; p < SLAB / 64; p++) {
                    dot = _mm512_dpwssd_epi32(dot, _mm512_load_si512(panel.mins[p][16 * v]),
                                              broadcast_word(columns.sums[p][c]));
                }
                totals[v][c] =
                    _mm512_fnmadd_ps(_mm512_cvtepi32_ps(dot), min_scale, totals[v][c]);
            }
        }
    }
#pragma GCC unroll 4
    for (int c = 0; c < C; c++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            float *sum = sums + c * PANEL_ROWS + 16 * v;
            _mm512_store_ps(sum, F::FINE ? totals[v][c]
                                         : _mm512_fmadd_ps(totals[v][c],
                                                           _mm512_set1_ps(columns.scales[0][c]),
                                                           _mm512_load_ps(sum)));
        }
    }
}

} // namespace ggml_sys
