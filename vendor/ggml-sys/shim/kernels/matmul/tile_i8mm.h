/* A tile of the product with ARM's matrix instructions: eight bytes of each of two
 * rows times eight of each of two columns in one. Its sums are those of the first
 * row, then those of the second. */
#pragma once

#include <cstring>

#include <arm_neon.h>

#include "layout.h"

namespace ggml_sys {

constexpr int TILE_ROWS = 8;

/* The numbers of two columns from `c` on, in turn; of a column that is not there, 0. */
template <int C> float32x4_t load_pair(const float (&numbers)[C], int c) {
    float pair[2] = {numbers[c], 0.0f};
    if (c + 1 < C) {
        pair[1] = numbers[c + 1];
    }
    const float32x2_t both = vld1_f32(pair);
    return vcombine_f32(both, both);
}

template <int C> int32x4_t load_pair(const int32_t (&numbers)[C], int c) {
    int32_t pair[2] = {numbers[c], 0};
    if (c + 1 < C) {
        pair[1] = numbers[c + 1];
    }
    const int32x2_t both = vld1_s32(pair);
    return vcombine_s32(both, both);
}

/* A run of two columns from `c` on; of a column that is not there, zeros. */
template <int C> int8x16_t load_columns(const int8_t (&runs)[C][RUN], int c) {
    int8_t bytes[2 * RUN] = {};
    std::memcpy(bytes, runs[c], c + 1 < C ? 2 * RUN : RUN);
    return vld1q_s8(bytes);
}

/* The products of `n` elements of TILE_ROWS rows from `row` on, four rows to a
 * vector, without the minima. */
template <class F, int C>
void multiply_tile(const Panel &panel, const Columns<F, C> &columns, int n, int row,
                   float32x4_t (&totals)[TILE_ROWS / 4][C]) {
    constexpr int V = TILE_ROWS / 2; /* pairs of rows */
    constexpr int P = (C + 1) / 2; /* pairs of columns */
    constexpr int SUB_RUNS = F::SUB / RUN;
    /* Larger bytes are no signed numbers: without their offset they are. */
    constexpr bool SIGNED = F::LARGEST <= 127;
    float32x4_t sums[V][P];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
#pragma GCC unroll 2
        for (int p = 0; p < P; p++) {
            sums[v][p] = vdupq_n_f32(0.0f);
        }
    }
#pragma GCC unroll 1
    for (int s = 0; s < n / F::SUB; s++) {
        int32x4_t dots[V][P];
#pragma GCC unroll 2
        for (int p = 0; p < P; p++) {
            int32x4_t start = vdupq_n_s32(0);
            if constexpr (F::OFFSET && SIGNED) {
                start = load_pair<C>(columns.starts[s], 2 * p);
            }
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                dots[v][p] = start;
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < SUB_RUNS; i++) {
            const int run = s * SUB_RUNS + i;
            int8x16_t x[P];
#pragma GCC unroll 2
            for (int p = 0; p < P; p++) {
                x[p] = load_columns<C>(columns.runs[run], 2 * p);
            }
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                const uint8x16_t bytes = vld1q_u8(panel.runs[run][row + 2 * v]);
                const int8x16_t rows = vreinterpretq_s8_u8(
                    SIGNED ? bytes : veorq_u8(bytes, vdupq_n_u8(0x80)));
#pragma GCC unroll 2
                for (int p = 0; p < P; p++) {
                    dots[v][p] = vmmlaq_s32(dots[v][p], rows, x[p]);
                }
            }
        }
        float32x4_t column_scales[P];
        if constexpr (F::FINE) {
#pragma GCC unroll 2
            for (int p = 0; p < P; p++) {
                column_scales[p] = load_pair<C>(columns.scales[s], 2 * p);
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const float32x2_t two = vld1_f32(panel.scales[s] + row + 2 * v);
            const float32x4_t scale = vcombine_f32(vdup_lane_f32(two, 0), vdup_lane_f32(two, 1));
#pragma GCC unroll 2
            for (int p = 0; p < P; p++) {
                float32x4_t dot = vcvtq_f32_s32(dots[v][p]);
                if constexpr (F::FINE) {
                    dot = vmulq_f32(dot, column_scales[p]);
                }
                sums[v][p] = vfmaq_f32(sums[v][p], dot, scale);
            }
        }
    }
#pragma GCC unroll 2
    for (int v = 0; v < TILE_ROWS / 4; v++) {
#pragma GCC unroll 2
        for (int p = 0; p < P; p++) {
            const float32x4_t upper = sums[2 * v][p], lower = sums[2 * v + 1][p];
            totals[v][2 * p] = vuzp1q_f32(upper, lower);
            if (2 * p + 1 < C) {
                totals[v][2 * p + 1] = vuzp2q_f32(upper, lower);
            }
        }
    }
}

} // namespace ggml_sys
