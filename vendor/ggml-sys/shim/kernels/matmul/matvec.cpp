/* Divides the product of a matrix and one column among threads. All of them
 * round the column first, then each goes through a contiguous part of the rows. */
#include "matmul.h"

#if defined(GGML_SYS_HAS_MATVEC)

#include "activations.h"
#include "dot_avx512.h"

namespace ggml_sys {
namespace {

/* Where the elements of a slab go, in runs of 32: the low halves of 64 bytes of a
 * q4_K or q5_K block hold the runs 0 and 2, the high halves 1 and 3. */
constexpr int HALVES_APART[8] = {0, 2, 1, 3, 4, 6, 5, 7};

template <class F> void round_slab(const float *x, int n, ColumnSlab *out) {
    constexpr int SHARED = F::FINE ? 32 : SLAB;
    alignas(64) int8_t quants[SLAB] = {};
    for (int i = 0; i < n; i += SHARED) {
        out->scales[i / SHARED] = round_to_bytes(x + i, std::min(SHARED, n - i), quants + i);
    }
    for (int s = 0; s < SLAB / F::SUB; s++) {
        int sum = 0;
        for (int i = 0; i < F::SUB; i++) {
            sum += quants[s * F::SUB + i];
        }
        out->sums[s] = (int16_t)sum;
    }
    for (int run = 0; run < 8; run++) {
        const int place = F::MINS ? HALVES_APART[run] : run;
        std::memcpy(out->quants + 32 * place, quants + 32 * run, 32);
    }
}

template <ggml_type TYPE>
void compute_type(const ggml_compute_params *params, ggml_tensor *op) {
    using F = Format<TYPE>;
    const ggml_tensor *weights = op->src[0];
    const int64_t length = weights->ne[0], rows = weights->ne[1];
    const int64_t n_slabs = ceil_div(length, SLAB);
    ColumnSlab *slabs = (ColumnSlab *)GGML_PAD((uintptr_t)params->wdata, ALIGN);
    for (int64_t i = params->ith; i < n_slabs; i += params->nth) {
        const float *x = (const float *)op->src[1]->data + i * SLAB;
        round_slab<F>(x, (int)std::min<int64_t>(SLAB, length - i * SLAB), slabs + i);
    }
    ggml_barrier(params->threadpool);

    float *y = (float *)op->data;
    const int64_t end = rows * (params->ith + 1) / params->nth;
    for (int64_t row = rows * params->ith / params->nth; row < end; row++) {
        const uint8_t *blocks = (const uint8_t *)weights->data + row * weights->nb[1];
        y[row] = dot<TYPE>(blocks, slabs, length);
    }
}

bool accepts(const ggml_tensor *op) {
    return is_product(op) && ggml_nrows(op) == 1;
}

size_t work_size(int, const ggml_tensor *op) {
    return ceil_div(op->src[0]->ne[0], SLAB) * sizeof(ColumnSlab) + ALIGN;
}

void compute(const ggml_compute_params *params, ggml_tensor *op) {
    switch (op->src[0]->type) {
        case GGML_TYPE_Q4_K: return compute_type<GGML_TYPE_Q4_K>(params, op);
        case GGML_TYPE_Q5_K: return compute_type<GGML_TYPE_Q5_K>(params, op);
        case GGML_TYPE_Q6_K: return compute_type<GGML_TYPE_Q6_K>(params, op);
        default: return compute_type<GGML_TYPE_Q8_0>(params, op);
    }
}

} // namespace

const Kernel matvec = {GGML_OP_MUL_MAT, accepts, work_size, compute};

} // namespace ggml_sys

#endif
