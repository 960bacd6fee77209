/* The product of quantised weights and so few columns that reading the weights
 * takes longer than multiplying them. All threads round the columns first; then
 * they take turns at runs of whole rows, which lie one after the other in memory. */
#include "matmul.h"

#if defined(GGML_SYS_HAS_FEW)

#include <type_traits>

#include "activations.h"
#include "few_avx512.h"

namespace ggml_sys {
namespace {

/* Rows of a turn: some 200 KiB, so that a thread that is interrupted holds the
 * others up by little, and each still reads long runs. */
constexpr int64_t TURN = 64;

/* Where the elements of a slab go, in runs of 32: the low halves of 64 bytes of a
 * q4_K or q5_K block hold the runs 0 and 2, the high halves 1 and 3. */
constexpr int HALVES_APART[8] = {0, 2, 1, 3, 4, 6, 5, 7};

template <class F> void round_slab(const float *x, int n, Slab *out) {
    constexpr int SHARED = F::FINE ? 32 : SLAB; /* elements that share a scale */
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

template <ggml_type TYPE> struct Product {
    const ggml_tensor *op;
    int64_t length, rows, columns, n_slabs;
    Slab *slabs; /* those of all columns for a part of the rows, then the next part's */

    Product(const ggml_tensor *op, void *work)
        : op(op), length(op->src[0]->ne[0]), rows(op->src[0]->ne[1]),
          columns(ggml_nrows(op->src[1])), n_slabs(ceil_div(length, SLAB)),
          slabs((Slab *)GGML_PAD((uintptr_t)work, ALIGN)) {}

    void round(int64_t index) const {
        const int64_t slab = index / columns, c = index % columns;
        const float *x = column<const float>(op->src[1], c) + slab * SLAB;
        const int n = (int)std::min<int64_t>(SLAB, length - slab * SLAB);
        round_slab<Format<TYPE>>(x, n, slabs + index);
    }

    template <int C> void multiply_rows(int64_t begin, int64_t end) const {
        const ggml_tensor *weights = op->src[0];
        float *y[C];
        for (int c = 0; c < C; c++) {
            y[c] = column<float>(op, c);
        }
        for (int64_t row = begin; row < end; row++) {
            const uint8_t *blocks = (const uint8_t *)weights->data + row * weights->nb[1];
            __m512 sums[C];
            dot<TYPE, C>(blocks, slabs, length, sums);
            for (int c = 0; c < C; c++) {
                y[c][row] = _mm512_reduce_add_ps(sums[c]);
            }
        }
    }

    void multiply(int64_t turn) const {
        const int64_t begin = turn * TURN, end = std::min(begin + TURN, rows);
        switch (columns) {
            case 1: return multiply_rows<1>(begin, end);
            case 2: return multiply_rows<2>(begin, end);
            default: return multiply_rows<FEW>(begin, end);
        }
    }

    static void compute(const ggml_compute_params *params, ggml_tensor *op) {
        const Product product(op, params->wdata);
        for (int64_t i = params->ith; i < product.n_slabs * product.columns; i += params->nth) {
            product.round(i);
        }
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);
        for (int64_t i = params->ith; i < ceil_div(product.rows, TURN);
             i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            product.multiply(i);
        }
    }
};

bool accepts(const ggml_tensor *op) {
    const int64_t columns = ggml_nrows(op->src[1]);
    return is_product(op) && columns >= 1 && columns <= FEW;
}

size_t work_size(int, const ggml_tensor *op) {
    return ceil_div(op->src[0]->ne[0], SLAB) * ggml_nrows(op->src[1]) * sizeof(Slab) + ALIGN;
}

void compute(const ggml_compute_params *params, ggml_tensor *op) {
    switch (op->src[0]->type) {
        case GGML_TYPE_Q4_K: return Product<GGML_TYPE_Q4_K>::compute(params, op);
        case GGML_TYPE_Q5_K: return Product<GGML_TYPE_Q5_K>::compute(params, op);
        case GGML_TYPE_Q6_K: return Product<GGML_TYPE_Q6_K>::compute(params, op);
        default: return Product<GGML_TYPE_Q8_0>::compute(params, op);
    }
}

} // namespace

const Kernel few_columns = {GGML_OP_MUL_MAT, accepts, work_size, compute};

} // namespace ggml_sys

#endif
