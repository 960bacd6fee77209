/* The exact GELU, x · Φ(x), a vector at a time, where ggml asks the C library for the
 * error function of one element after another. */
#include "gelu.h"

#ifdef KERNEL_SIMD

#include <algorithm>

namespace ggml_sys {
namespace {

using namespace simd;

/* With z = |x| / √2, Φ(−|x|) = erfc(z) / 2, and erfc(z) = (a₁t + … + a₅t⁵) · exp(−z²) where
 * t = 1 / (1 + pz), to 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions,
 * 7.1.26). */
Vec gelu(Vec x) {
    constexpr float P = 0.3275911f;
    constexpr float A[] = {0.254829592f, -0.284496736f, 1.421413741f, -1.453152027f, 1.061405429f};
    constexpr float SQRT_HALF = 0.70710678f, LOG2_E = 1.44269504f;
    /* Farther out Φ(−|x|) is 0 in f32. */
    constexpr float FARTHEST = 16.0f;

    /* −|x|. Of two operands NaN is the result if it is the second. */
    const Vec size = max(x, sub(zero(), x));
    const Vec minus = max(all(-FARTHEST), sub(zero(), size));
    const Vec t = div(all(1.0f), fma(minus, all(-P * SQRT_HALF), all(1.0f)));
    Vec sum = all(A[4]);
    for (int i = 3; i >= 0; i--) {
        sum = fma(sum, t, all(A[i]));
    }
    const Vec exponential = exp2<6>(mul(mul(minus, minus), all(-LOG2_E / 2)));
    const Vec tail = mul(mul(sum, mul(t, all(0.5f))), exponential);
    return fma(minus, tail, where_greater(x, zero(), x));
}

bool accepts(const ggml_tensor *op) {
    const ggml_tensor *x = op->src[0];
    return ggml_get_unary_op(op) == GGML_UNARY_OP_GELU_ERF && x->type == GGML_TYPE_F32 &&
           op->type == GGML_TYPE_F32 && ggml_is_contiguous(x) && ggml_is_contiguous(op);
}

size_t work_size(int, const ggml_tensor *) {
    return 0;
}

void compute(const ggml_compute_params *params, ggml_tensor *op) {
    const float *x = static_cast<const float *>(op->src[0]->data);
    float *y = static_cast<float *>(op->data);
    const int64_t n = ggml_nelements(op), vectors = (n + LANES - 1) / LANES;
    const int64_t first = vectors * params->ith / params->nth * LANES;
    const int64_t end = std::min(n, vectors * (params->ith + 1) / params->nth * LANES);
    int64_t i = first;
    for (; i + LANES <= end; i += LANES) {
        store(y + i, gelu(load(x + i)));
    }
    if (i < end) {
        float rest[LANES] = {};
        std::copy(x + i, x + end, rest);
        store(rest, gelu(load(rest)));
        std::copy_n(rest, end - i, y + i);
    }
}

} // namespace

const Kernel gelu_kernel = {GGML_OP_UNARY, accepts, work_size, compute};

} // namespace ggml_sys

#endif
