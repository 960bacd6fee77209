/* The innermost kernel for ARM: a panel times a group of columns, in tiles of eight
 * rows. How the bytes are multiplied depends on the instructions there are; what is
 * done with the sums does not. */
#pragma once

#include <cstring>

#include <arm_neon.h>

#include "layout.h"

#ifdef __ARM_FEATURE_MATMUL_INT8
#include "tile_i8mm.h"
#else
#include "tile_dotprod.h"
#endif

namespace ggml_sys {

/* Fewer columns do not repay unpacking the weights. */
constexpr int64_t min_columns(ggml_type) {
    return 8;
}

/* Adds the minima of two sub-blocks of four rows, times the sums of the columns' quants:
 * a pair for each column. */
template <int C>
void add_pair(int32x4_t (&dots)[C], int16x4_t first, int16x4_t second, int16x8_t sums) {
    dots[0] = vmlal_laneq_s16(vmlal_laneq_s16(dots[0], first, sums, 0), second, sums, 1);
    if constexpr (C > 1) {
        dots[1] = vmlal_laneq_s16(vmlal_laneq_s16(dots[1], first, sums, 2), second, sums, 3);
    }
    if constexpr (C > 2) {
        dots[2] = vmlal_laneq_s16(vmlal_laneq_s16(dots[2], first, sums, 4), second, sums, 5);
    }
    if constexpr (C > 3) {
        dots[3] = vmlal_laneq_s16(vmlal_laneq_s16(dots[3], first, sums, 6), second, sums, 7);
    }
}

/* Subtracts the minima of four rows from `row` on, times the columns' sums. */
template <class F, int C>
void subtract_mins(const Panel &panel, const Columns<F, C> &columns, int row,
                   float32x4_t (&totals)[C]) {
    int32x4_t dots[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; c++) {
        dots[c] = vdupq_n_s32(0);
    }
#pragma GCC unroll 4
    for (int p = 0; p < SLAB / 64; p++) {
        int16_t sums[8] = {};
        std::memcpy(sums, columns.sums[p], sizeof columns.sums[p]);
        const int16x8_t mins = vld1q_s16(panel.mins[p][row]);
        add_pair<C>(dots, vget_low_s16(vuzp1q_s16(mins, mins)),
                    vget_low_s16(vuzp2q_s16(mins, mins)), vld1q_s16(sums));
    }
    const float32x4_t scale = vld1q_f32(panel.min_scales + row);
#pragma GCC unroll 4
    for (int c = 0; c < C; c++) {
        totals[c] = vfmsq_f32(totals[c], vcvtq_f32_s32(dots[c]), scale);
    }
}

/* Adds the products of `n` elements to `sums`, PANEL_ROWS for each column. */
template <class F, int C>
void multiply(const Panel &panel, const Columns<F, C> &columns, int n, float *sums) {
    for (int row = 0; row < PANEL_ROWS; row += TILE_ROWS) {
        float32x4_t totals[TILE_ROWS / 4][C];
        multiply_tile<F, C>(panel, columns, n, row, totals);
#pragma GCC unroll 2
        for (int v = 0; v < TILE_ROWS / 4; v++) {
            const int first = row + 4 * v;
            if constexpr (F::MINS) {
                subtract_mins<F, C>(panel, columns, first, totals[v]);
            }
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                float *sum = sums + c * PANEL_ROWS + first;
                const float32x4_t before = vld1q_f32(sum);
                vst1q_f32(sum, F::FINE
                                   ? vaddq_f32(before, totals[v][c])
                                   : vfmaq_n_f32(before, totals[v][c], columns.scales[0][c]));
            }
        }
    }
}

} // namespace ggml_sys
