/* Reading the rows of keys and values, whatever their type, as vectors of f32. */
#pragma once

#include "../simd.h"

#ifdef KERNEL_SIMD

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"
#include "ggml.h"

namespace ggml_sys::attention {

using namespace simd;

/* Elements i … i + LANES − 1 of a row; i is a multiple of LANES. */
template <ggml_type TYPE> inline Vec elements(const char *row, int64_t i) {
    if constexpr (TYPE == GGML_TYPE_F32) {
        return load(reinterpret_cast<const float *>(row) + i);
    } else if constexpr (TYPE == GGML_TYPE_F16) {
        return from_f16(row + 2 * i);
    } else if constexpr (TYPE == GGML_TYPE_BF16) {
        return from_bf16(row + 2 * i);
    } else if constexpr (TYPE == GGML_TYPE_Q8_0) {
        const block_q8_0 &block = reinterpret_cast<const block_q8_0 *>(row)[i / QK8_0];
        return mul(from_i8(block.qs + i % QK8_0), all(from_half(block.d)));
    } else {
        static_assert(TYPE == GGML_TYPE_Q4_0);
        // The low halves of the bytes are the first half of a block.
        const block_q4_0 &block = reinterpret_cast<const block_q4_0 *>(row)[i / QK4_0];
        const int64_t within = i % QK4_0;
        const bool high = within >= QK4_0 / 2;
        const Vec code = from_nibbles(block.qs + within % (QK4_0 / 2), high);
        return mul(sub(code, all(8.0f)), all(from_half(block.d)));
    }
}

/* Calls `f` with a template argument for the type; only for types that `elements`
 * reads. */
#define ATTENTION_FOR_TYPE(type, f, ...)                                        \
    switch (type) {                                                             \
        case GGML_TYPE_F32: f<GGML_TYPE_F32>(__VA_ARGS__); break;               \
        case GGML_TYPE_F16: f<GGML_TYPE_F16>(__VA_ARGS__); break;               \
        case GGML_TYPE_BF16: f<GGML_TYPE_BF16>(__VA_ARGS__); break;             \
        case GGML_TYPE_Q8_0: f<GGML_TYPE_Q8_0>(__VA_ARGS__); break;             \
        default: f<GGML_TYPE_Q4_0>(__VA_ARGS__); break;                         \
    }

inline bool has_elements(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16:
        case GGML_TYPE_Q8_0:
        case GGML_TYPE_Q4_0:
            return true;
        default:
            return false;
    }
}

} // namespace ggml_sys::attention

#endif
