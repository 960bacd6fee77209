/* Unpacks blocks of 16 rows of weights into a panel, a few rows at a time, in plain
 * loops that compilers turn into vector instructions. What the bits of a block mean
 * is laid down in ggml-common.h and ggml-quants.c. */
#pragma once

#include <algorithm>
#include <cstring>

#ifdef __aarch64__
#include <arm_neon.h>
#endif

#include "layout.h"
#include "simd-mappings.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

namespace ggml_sys {

/* The blocks to unpack, of 16 rows, and what to fetch from memory meanwhile. */
struct Blocks {
    const uint8_t *rows[16];
    /* Bytes that are wanted soon, or null: as many are asked for as are read. */
    const uint8_t *ahead;
};

#ifdef __aarch64__

/* Rows whose quants are stored together. */
constexpr int TOGETHER = 4;

/* Writes `n` quants of each row, from `row` on, to their places in the panel. */
static inline void store_quants(Panel *panel, int row, const uint8_t (&quants)[TOGETHER][SLAB],
                                int n) {
    for (int i = 0; i < n; i += 16) {
        uint8_t(*runs)[PANEL_ROWS][RUN] = panel->runs + i / RUN;
#ifdef __ARM_FEATURE_MATMUL_INT8
        for (int r = 0; r < TOGETHER; r += 2) {
            const uint64x2x2_t rows = {{vreinterpretq_u64_u8(vld1q_u8(quants[r] + i)),
                                        vreinterpretq_u64_u8(vld1q_u8(quants[r + 1] + i))}};
            vst2q_lane_u64((uint64_t *)runs[0][row + r], rows, 0);
            vst2q_lane_u64((uint64_t *)runs[1][row + r], rows, 1);
        }
#else
        const uint32x4x4_t rows = {{vreinterpretq_u32_u8(vld1q_u8(quants[0] + i)),
                                    vreinterpretq_u32_u8(vld1q_u8(quants[1] + i)),
                                    vreinterpretq_u32_u8(vld1q_u8(quants[2] + i)),
                                    vreinterpretq_u32_u8(vld1q_u8(quants[3] + i))}};
        vst4q_lane_u32((uint32_t *)runs[0][row], rows, 0);
        vst4q_lane_u32((uint32_t *)runs[1][row], rows, 1);
        vst4q_lane_u32((uint32_t *)runs[2][row], rows, 2);
        vst4q_lane_u32((uint32_t *)runs[3][row], rows, 3);
#endif
    }
}

#else

constexpr int TOGETHER = 1;

static inline void store_quants(Panel *panel, int row, const uint8_t (&quants)[TOGETHER][SLAB],
                                int n) {
    for (int i = 0; i < n / RUN; i++) {
        std::memcpy(panel->runs[i][row], quants[0] + RUN * i, RUN);
    }
}

#endif

/* Scales and minima of the eight sub-blocks of a q4_K or q5_K block: 6 bits each. */
template <class Block> void unpack_scales_and_mins(const Block *block, Panel *panel, int row) {
    ggml_half factors[2]; /* for scales, for minima: the first bytes of the block */
    std::memcpy(factors, block, sizeof factors);
    const float d = GGML_CPU_FP16_TO_FP32(factors[0]);
    const uint8_t *packed = block->scales;
    for (int s = 0; s < 8; s++) {
        const int scale =
            s < 4 ? packed[s] & 63 : (packed[s + 4] & 15) | (packed[s - 4] >> 6 << 4);
        const int min =
            s < 4 ? packed[s + 4] & 63 : (packed[s + 4] >> 4) | (packed[s] >> 6 << 4);
        panel->scales[s][row] = d * (float)scale;
        panel->mins[s / 2][row][s % 2] = (int16_t)min;
    }
    panel->min_scales[row] = GGML_CPU_FP16_TO_FP32(factors[1]);
}

/* Writes a row's scales to the panel, and its quants one after the other. 64 elements
 * in 32 bytes: the low halves of the bytes, then the high halves. */
static inline void unpack_row(const block_q4_K *block, int n, Panel *panel, int row,
                              uint8_t *quants) {
    for (int part = 0; part < n / 64; part++) {
        const uint8_t *both = block->qs + 32 * part;
        uint8_t *out = quants + 64 * part;
        for (int i = 0; i < 32; i++) {
            out[i] = both[i] & 15;
            out[i + 32] = both[i] >> 4;
        }
    }
    unpack_scales_and_mins(block, panel, row);
}

/* As q4_K, with a fifth bit: bit s of qh[i] is that of element i of sub-block s. */
static inline void unpack_row(const block_q5_K *block, int n, Panel *panel, int row,
                              uint8_t *quants) {
    for (int part = 0; part < n / 64; part++) {
        const uint8_t *both = block->qs + 32 * part;
        uint8_t *out = quants + 64 * part;
        for (int i = 0; i < 32; i++) {
            const uint8_t high = (uint8_t)(block->qh[i] >> (2 * part));
            out[i] = (uint8_t)((both[i] & 15) | (high & 1) << 4);
            out[i + 32] = (uint8_t)(both[i] >> 4 | (high & 2) << 3);
        }
    }
    unpack_scales_and_mins(block, panel, row);
}

/* Each half of 128 elements has 64 bytes of low 4 bits and 32 bytes of high 2
 * bits: four runs of 32 elements, the first two in the low halves of the bytes. */
static inline void unpack_row(const block_q6_K *block, int n, Panel *panel, int row,
                              uint8_t *quants) {
    for (int half = 0; half < n / 128; half++) {
        const uint8_t *low = block->ql + 64 * half, *high = block->qh + 32 * half;
        uint8_t *out = quants + 128 * half;
        for (int i = 0; i < 32; i++) {
            out[i] = (uint8_t)((low[i] & 15) | (high[i] & 3) << 4);
            out[i + 32] = (uint8_t)((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4);
            out[i + 64] = (uint8_t)(low[i] >> 4 | (high[i] >> 4 & 3) << 4);
            out[i + 96] = (uint8_t)(low[i + 32] >> 4 | high[i] >> 6 << 4);
        }
    }
    const float d = GGML_CPU_FP16_TO_FP32(block->d);
    for (int s = 0; s < 16; s++) {
        panel->scales[s][row] = d * (float)block->scales[s];
    }
}

/* `n` elements in blocks of 32 bytes with a factor. */
static inline void unpack_row(const block_q8_0 *blocks, int n, Panel *panel, int row,
                              uint8_t *quants) {
    for (int b = 0; b < n / QK8_0; b++) {
        for (int i = 0; i < QK8_0; i++) {
            quants[QK8_0 * b + i] = (uint8_t)(blocks[b].qs[i] + 128);
        }
        panel->scales[b][row] = GGML_CPU_FP16_TO_FP32(blocks[b].d);
    }
}

template <ggml_type TYPE> struct BlockOf;
template <> struct BlockOf<GGML_TYPE_Q4_K> {
    using Type = block_q4_K;
};
template <> struct BlockOf<GGML_TYPE_Q5_K> {
    using Type = block_q5_K;
};
template <> struct BlockOf<GGML_TYPE_Q6_K> {
    using Type = block_q6_K;
};
template <> struct BlockOf<GGML_TYPE_Q8_0> {
    using Type = block_q8_0;
};

template <ggml_type TYPE> void unpack(Blocks &blocks, int n, Panel *panel, int row) {
    using Block = typename BlockOf<TYPE>::Type;
    n = std::min(n, SLAB); /* as it is: for the compiler's sake */
    const int bytes = n / Format<TYPE>::BLOCK * (int)sizeof(Block);
    for (int r = 0; r < 16; r += TOGETHER) {
        alignas(16) uint8_t quants[TOGETHER][SLAB];
        for (int i = 0; i < TOGETHER; i++) {
            if (blocks.ahead) {
                for (int byte = 0; byte < bytes; byte += 64) {
                    __builtin_prefetch(blocks.ahead + byte);
                }
                blocks.ahead += bytes;
            }
            unpack_row((const Block *)blocks.rows[r + i], n, panel, row + r + i, quants[i]);
        }
        store_quants(panel, row + r, quants, n);
    }
}

} // namespace ggml_sys
