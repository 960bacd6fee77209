/* The matrix product of quantised weights and activations: a kernel for few columns
 * and one for many. */
#pragma once

#include "../kernel.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__)                  \
    && defined(__AVX512VL__)
#define GGML_SYS_HAS_FEW
#define GGML_SYS_HAS_MATMUL
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define GGML_SYS_HAS_MATMUL
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define GGML_SYS_HAS_MATMUL
#endif

namespace ggml_sys {

/* Columns that are few. As long as they are, a column's product does not depend on
 * their number. */
constexpr int64_t FEW = 3;

extern const Kernel few_columns;
extern const Kernel matmul;

/* Whether an operation multiplies one matrix of a type and layout that both
 * kernels know. */
inline bool is_product(const ggml_tensor *op) {
    const ggml_tensor *weights = op->src[0], *activations = op->src[1];
    switch (weights->type) {
        case GGML_TYPE_Q4_K:
        case GGML_TYPE_Q5_K:
        case GGML_TYPE_Q6_K:
        case GGML_TYPE_Q8_0: break;
        default: return false;
    }
    return activations->type == GGML_TYPE_F32 && op->type == GGML_TYPE_F32
           && weights->ne[2] == 1 && weights->ne[3] == 1 && activations->nb[0] == sizeof(float)
           && op->nb[0] == sizeof(float);
}

/* Alignment of the parts of the work memory. */
constexpr size_t ALIGN = 64;

inline int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* A column of a tensor whose dimensions above the first are counted as one. */
template <class T> T *column(const ggml_tensor *tensor, int64_t index) {
    const int64_t i1 = index % tensor->ne[1], rest = index / tensor->ne[1];
    const int64_t i2 = rest % tensor->ne[2], i3 = rest / tensor->ne[2];
    return (T *)((char *)tensor->data + i1 * tensor->nb[1] + i2 * tensor->nb[2]
                 + i3 * tensor->nb[3]);
}

} // namespace ggml_sys
