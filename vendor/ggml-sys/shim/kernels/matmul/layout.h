/* How the matrix product keeps its operands while it computes: rows of weights
 * unpacked to bytes, columns of activations rounded to 8 bits, both cut into
 * slabs of 256 elements and interleaved in short runs for instructions that
 * multiply run by run and add up the products. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace ggml_sys {

constexpr int SLAB = 256;

/* Elements in a run: as many as an instruction multiplies with as many others for
 * one sum, eight with ARM's i8mm and four with all others. */
#ifdef __ARM_FEATURE_MATMUL_INT8
constexpr int RUN = 8;
#else
constexpr int RUN = 4;
#endif
constexpr int RUNS = SLAB / RUN;

/* Rows that are unpacked together: one slab of them fits into the L1 cache. */
constexpr int PANEL_ROWS = 64;

/* Columns that one call of the innermost kernel computes, at most: as many as
 * leave its sums in registers. With AVX-512, 64 rows by 3 columns are 12 registers
 * of whole-number sums and 12 of sums in floating point; on ARM 8 rows by 4 columns
 * are 8 and 8. */
#ifdef __aarch64__
constexpr int GROUP = 4;
#else
constexpr int GROUP = 3;
#endif

/* The formats of weights. An element is scale · (quant − OFFSET) − minimum. */
template <ggml_type TYPE> struct Format;

struct KQuant {
    static constexpr int BLOCK = 256; /* elements in a block of the file */
    /* Activations have a scale for each 32 elements or, as here, for each slab:
     * like ggml's for weights of the same type. */
    static constexpr bool FINE = false;
};

template <> struct Format<GGML_TYPE_Q4_K> : KQuant {
    static constexpr int SUB = 32; /* elements that share a scale */
    static constexpr int OFFSET = 0;
    static constexpr int LARGEST = 15; /* quant, as a panel holds it */
    static constexpr bool MINS = true;
};

template <> struct Format<GGML_TYPE_Q5_K> : Format<GGML_TYPE_Q4_K> {
    static constexpr int LARGEST = 31;
};

template <> struct Format<GGML_TYPE_Q6_K> : KQuant {
    static constexpr int SUB = 16;
    static constexpr int OFFSET = 32;
    static constexpr int LARGEST = 63;
    static constexpr bool MINS = false;
};

template <> struct Format<GGML_TYPE_Q8_0> {
    static constexpr int BLOCK = 32;
    static constexpr bool FINE = true;
    static constexpr int SUB = 32;
    static constexpr int OFFSET = 128;
    static constexpr int LARGEST = 255;
    static constexpr bool MINS = false;
};

/* One slab of PANEL_ROWS rows of weights. Its bytes are 0 … 255, so that they
 * can be the unsigned operand. */
struct alignas(64) Panel {
    uint8_t runs[RUNS][PANEL_ROWS][RUN];
    float scales[SLAB / 16][PANEL_ROWS]; /* by sub-block */
    int16_t mins[SLAB / 64][PANEL_ROWS][2]; /* by sub-block, in pairs */
    float min_scales[PANEL_ROWS];
};

/* One slab of `C` columns of activations. */
template <class F, int C> struct alignas(64) Columns {
    int8_t runs[RUNS][C][RUN];
    float scales[F::FINE ? SLAB / 32 : 1][C];
    /* −OFFSET · sum of the quants, by sub-block: where its sum starts. */
    int32_t starts[F::OFFSET ? SLAB / F::SUB : 1][C];
    /* Sums of the quants, by sub-block, in pairs. */
    int16_t sums[F::MINS ? SLAB / 64 : 1][C][2];
};

/* Bytes set aside for the columns of one group, whatever their number. */
template <class F> constexpr size_t GROUP_BYTES = sizeof(Columns<F, GROUP>);

} // namespace ggml_sys
