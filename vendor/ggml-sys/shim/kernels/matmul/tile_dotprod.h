/* A tile of the product with ARM's dot products: four bytes of each of four rows
 * times four of a column in one instruction. */
#pragma once

#include <cstring>

#include <arm_neon.h>

#include "layout.h"

namespace ggml_sys {

constexpr int TILE_ROWS = 8;

/* One run of each column. */
template <int C> int8x16_t load_columns(const int8_t (&runs)[C][RUN]) {
    int8_t bytes[16] = {};
    std::memcpy(bytes, runs, sizeof runs);
    return vld1q_s8(bytes);
}

/* Adds the products of a run of four rows to the sums of each column. */
template <int C> void add_dots(int32x4_t (&sums)[C], int8x16_t rows, int8x16_t columns) {
    sums[0] = vdotq_laneq_s32(sums[0], rows, columns, 0);
    if constexpr (C > 1) {
        sums[1] = vdotq_laneq_s32(sums[1], rows, columns, 1);
    }
    if constexpr (C > 2) {
        sums[2] = vdotq_laneq_s32(sums[2], rows, columns, 2);
    }
    if constexpr (C > 3) {
        sums[3] = vdotq_laneq_s32(sums[3], rows, columns, 3);
    }
}

/* The products of `n` elements of TILE_ROWS rows from `row` on, four rows to a
 * vector, without the minima. */
template <class F, int C>
void multiply_tile(const Panel &panel, const Columns<F, C> &columns, int n, int row,
                   float32x4_t (&totals)[TILE_ROWS / 4][C]) {
    constexpr int V = TILE_ROWS / 4;
    constexpr int SUB_RUNS = F::SUB / RUN;
    /* Larger bytes are no signed numbers: without their offset they are. */
    constexpr bool SIGNED = F::LARGEST <= 127;
    float32x4_t sums[V][C];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            sums[v][c] = vdupq_n_f32(0.0f);
        }
    }
#pragma GCC unroll 1
    for (int s = 0; s < n / F::SUB; s++) {
        int32x4_t dots[V][C];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                dots[v][c] = vdupq_n_s32(F::OFFSET && SIGNED ? columns.starts[s][c] : 0);
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < SUB_RUNS; i++) {
            const int run = s * SUB_RUNS + i;
            const int8x16_t x = load_columns<C>(columns.runs[run]);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                const uint8x16_t bytes = vld1q_u8(panel.runs[run][row + 4 * v]);
                const uint8x16_t quants = SIGNED ? bytes : veorq_u8(bytes, vdupq_n_u8(0x80));
                add_dots<C>(dots[v], vreinterpretq_s8_u8(quants), x);
            }
        }
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            const float32x4_t scale = vld1q_f32(panel.scales[s] + row + 4 * v);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                float32x4_t dot = vcvtq_f32_s32(dots[v][c]);
                if constexpr (F::FINE) {
                    dot = vmulq_n_f32(dot, columns.scales[s][c]);
                }
                sums[v][c] = vfmaq_f32(sums[v][c], dot, scale);
            }
        }
    }
    std::memcpy(totals, sums, sizeof sums);
}

} // namespace ggml_sys
