/* Divides a matrix product among threads. All of them round the activations
 * first, once; then each takes blocks of the result, PANEL_ROWS rows high, and
 * for each unpacks the weights of the rows slab by slab and multiplies them with
 * all columns of the block before it goes on to the next slab. */
#include "matmul.h"

#if defined(GGML_SYS_HAS_MATMUL)

#include <type_traits>

#include "activations.h"
#if defined(GGML_SYS_HAS_FEW)
#include "micro_avx512.h"
#include "unpack_avx512.h"
#elif defined(__AVX2__)
#include "micro_avx2.h"
#include "unpack_rows.h"
#else
#include "micro_neon.h"
#include "unpack_rows.h"
#endif

namespace ggml_sys {
namespace {

/* Columns in a block of the result, in groups: their sums stay in the L2 cache. */
constexpr int64_t BLOCK_GROUPS = (512 + GROUP - 1) / GROUP;

/* The sizes of a product and of its parts in the work memory. */
struct Shape {
    int64_t length, rows, columns;
    int64_t slabs, groups; /* of the activations */
    int64_t panels, blocks; /* of the result: rows, columns */
    int64_t block_groups; /* groups of columns in a block */

    Shape(const ggml_tensor *op, int n_threads) {
        length = op->src[0]->ne[0];
        rows = op->src[0]->ne[1];
        columns = ggml_nrows(op->src[1]);
        slabs = ceil_div(length, SLAB);
        groups = ceil_div(columns, GROUP);
        panels = ceil_div(rows, PANEL_ROWS);
        /* Blocks of equal width, and one for each thread even if rows are few. */
        const int64_t busy = is_narrow() ? 1 : std::min(groups, ceil_div(n_threads, panels));
        blocks = std::max(ceil_div(groups, BLOCK_GROUPS), busy);
        block_groups = ceil_div(groups, blocks);
        blocks = ceil_div(groups, block_groups);
    }

    /* Whether memory, not arithmetic, limits the speed. */
    bool is_narrow() const {
        return groups <= 4;
    }

    /* Whether there is time to fetch a slab of weights while the one before it is
     * multiplied, row by row. */
    bool is_wide() const {
        return block_groups >= PANEL_ROWS;
    }

    template <class F> size_t activation_bytes() const {
        return slabs * groups * GROUP_BYTES<F>;
    }

    /* A panel and the sums of a block. */
    size_t thread_bytes() const {
        return sizeof(Panel)
               + std::min(groups, BLOCK_GROUPS) * GROUP * PANEL_ROWS * sizeof(float);
    }
};

/* Calls `f` with the number of columns as a constant. */
template <class Call> void with_columns(int64_t n, Call f) {
    switch (n) {
        case 1: return f(std::integral_constant<int, 1>());
        case 2: return f(std::integral_constant<int, 2>());
        case 3: return f(std::integral_constant<int, 3>());
        default: return f(std::integral_constant<int, GROUP>());
    }
}

template <ggml_type TYPE> struct Product {
    using F = Format<TYPE>;

    const ggml_tensor *op;
    Shape shape;
    uint8_t *activations;

    int length_of(int64_t slab) const {
        return (int)std::min<int64_t>(SLAB, shape.length - slab * SLAB);
    }

    uint8_t *group_at(int64_t slab, int64_t group) const {
        return activations + (slab * shape.groups + group) * GROUP_BYTES<F>;
    }

    /* Columns are pages apart, where processors do not look ahead by themselves. */
    void prefetch_column(int64_t index, int64_t slab) const {
        if (index < shape.columns) {
            const float *x = column<const float>(op->src[1], index) + slab * SLAB;
            for (int i = 0; i < length_of(slab); i += 64 / sizeof(float)) {
                __builtin_prefetch(x + i);
            }
        }
    }

    void round_group(int64_t group) const {
        const int64_t first = group * GROUP;
        with_columns(shape.columns - first, [&](auto n) {
            constexpr int C = n;
            for (int64_t slab = 0; slab < shape.slabs; slab++) {
                const float *x[C];
                for (int c = 0; c < C; c++) {
                    x[c] = column<const float>(op->src[1], first + c) + slab * SLAB;
                    prefetch_column(first + GROUP + c, slab);
                }
                quantise<F, C>(x, length_of(slab), (Columns<F, C> *)group_at(slab, group));
            }
        });
    }

    const uint8_t *weight_row(int64_t row) const {
        return (const uint8_t *)op->src[0]->data + row * op->src[0]->nb[1];
    }

    size_t slab_offset(int64_t slab) const {
        return slab * (SLAB / F::BLOCK) * ggml_type_size(TYPE);
    }

    /* Unpacks a slab of a panel and, if columns are few, fetches as many bytes of
     * the panel that is next, in the order in which they lie in memory. */
    void unpack_panel(int64_t panel_index, int64_t slab, int64_t next_panel,
                      Panel *panel) const {
        const int64_t first_row = panel_index * PANEL_ROWS, next_row = next_panel * PANEL_ROWS;
        const bool fetches = !shape.is_wide() && next_row + PANEL_ROWS <= shape.rows;
        for (int row = 0; row < PANEL_ROWS; row += 16) {
            Blocks blocks;
            for (int r = 0; r < 16; r++) {
                /* Rows beyond the last are computed from the last, and dropped. */
                const int64_t index = std::min(first_row + row + r, shape.rows - 1);
                blocks.rows[r] = weight_row(index) + slab_offset(slab);
            }
            const int64_t done = slab * PANEL_ROWS + row; /* of slabs · PANEL_ROWS */
            blocks.ahead = fetches
                               ? weight_row(next_row) + op->src[0]->nb[1] * done / shape.slabs
                               : nullptr;
            unpack<TYPE>(blocks, length_of(slab), panel, row);
        }
    }

    /* Many columns: there is time between two slabs to fetch just the second
     * one. Asks for `part` of `parts` of its rows. */
    void prefetch_slab(int64_t first_row, int64_t slab, int64_t part, int64_t parts) const {
        const size_t bytes = length_of(slab) / F::BLOCK * ggml_type_size(TYPE);
        const int64_t end = std::min(first_row + PANEL_ROWS * (part + 1) / parts, shape.rows);
        for (int64_t row = first_row + PANEL_ROWS * part / parts; row < end; row++) {
            const char *block = (const char *)weight_row(row) + slab_offset(slab);
            for (size_t i = 0; i < bytes; i += 64) {
                __builtin_prefetch(block + i);
            }
            __builtin_prefetch(block + bytes - 1);
        }
    }

    /* Rows of a panel in the result. */
    int64_t rows_of(int64_t panel_index) const {
        return std::min<int64_t>(PANEL_ROWS, shape.rows - panel_index * PANEL_ROWS);
    }

    /* Calls `f` with where each column of a group goes in the result, and its number
     * in the group. */
    template <class Call>
    void for_each_result(int64_t panel_index, int64_t group, const Call &f) const {
        const int64_t last = std::min((group + 1) * GROUP, shape.columns);
        for (int64_t c = group * GROUP; c < last; c++) {
            f(column<float>(op, c) + panel_index * PANEL_ROWS, c - group * GROUP);
        }
    }

    void compute_block(int64_t panel_index, int64_t block, int64_t next_panel, Panel *panel,
                       float *sums) const {
        const int64_t begin = block * shape.block_groups;
        const int64_t end = std::min(begin + shape.block_groups, shape.groups);
        const size_t result_bytes = rows_of(panel_index) * sizeof(float);
        std::memset(sums, 0, (end - begin) * GROUP * PANEL_ROWS * sizeof(float));
        for (int64_t slab = 0; slab < shape.slabs; slab++) {
            unpack_panel(panel_index, slab, next_panel, panel);
            const bool last = slab + 1 == shape.slabs;
            for (int64_t group = begin; group < end; group++) {
                if (shape.is_wide()) {
                    prefetch_slab((last ? next_panel : panel_index) * PANEL_ROWS,
                                  last ? 0 : slab + 1, group - begin, end - begin);
                }
                if (last) {
                    /* Lines that are written soon are fetched while multiplying. */
                    for_each_result(panel_index, group, [&](const float *result, int64_t) {
                        for (size_t i = 0; i < result_bytes; i += 64) {
                            __builtin_prefetch((const char *)result + i, 1);
                        }
                    });
                }
                float *at = sums + (group - begin) * GROUP * PANEL_ROWS;
                with_columns(shape.columns - group * GROUP, [&](auto n) {
                    constexpr int C = n;
                    const Columns<F, C> *columns = (const Columns<F, C> *)group_at(slab, group);
                    multiply<F, C>(*panel, *columns, length_of(slab), at);
                });
                if (last) {
                    for_each_result(panel_index, group, [&](float *result, int64_t c) {
                        std::memcpy(result, at + c * PANEL_ROWS, result_bytes);
                    });
                }
            }
        }
    }

    static void compute(const ggml_compute_params *params, ggml_tensor *op) {
        const Shape shape(op, params->nth);
        uint8_t *work = (uint8_t *)GGML_PAD((uintptr_t)params->wdata, ALIGN);
        const Product product{op, shape, work};

        const int64_t end = shape.groups * (params->ith + 1) / params->nth;
        for (int64_t group = shape.groups * params->ith / params->nth; group < end; group++) {
            product.round_group(group);
        }
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);

        uint8_t *own = work + shape.activation_bytes<F>() + params->ith * shape.thread_bytes();
        Panel *panel = (Panel *)own;
        float *sums = (float *)(own + sizeof(Panel));
        if (shape.is_narrow()) { /* a long contiguous run of weights for each thread */
            const int64_t last = shape.panels * (params->ith + 1) / params->nth;
            for (int64_t i = shape.panels * params->ith / params->nth; i < last; i++) {
                product.compute_block(i, 0, i + 1, panel, sums);
            }
            return;
        }
        for (int64_t i = params->ith; i < shape.panels * shape.blocks;
             i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            /* Threads take turns, more or less. */
            const int64_t next_panel = (i + params->nth) / shape.blocks;
            product.compute_block(i / shape.blocks, i % shape.blocks, next_panel, panel, sums);
        }
    }

    static size_t work_size(int n_threads, const ggml_tensor *op) {
        const Shape shape(op, n_threads);
        return shape.activation_bytes<F>() + n_threads * shape.thread_bytes() + ALIGN;
    }
};

struct Functions {
    decltype(Kernel::work_size) work_size;
    decltype(Kernel::compute) compute;
};

template <ggml_type TYPE> constexpr Functions functions() {
    return {Product<TYPE>::work_size, Product<TYPE>::compute};
}

Functions functions_of(const ggml_tensor *op) {
    switch (op->src[0]->type) {
        case GGML_TYPE_Q4_K: return functions<GGML_TYPE_Q4_K>();
        case GGML_TYPE_Q5_K: return functions<GGML_TYPE_Q5_K>();
        case GGML_TYPE_Q6_K: return functions<GGML_TYPE_Q6_K>();
        default: return functions<GGML_TYPE_Q8_0>();
    }
}

size_t work_size(int n_threads, const ggml_tensor *op) {
    return functions_of(op).work_size(n_threads, op);
}

void compute(const ggml_compute_params *params, ggml_tensor *op) {
    functions_of(op).compute(params, op);
}

bool accepts(const ggml_tensor *op) {
    return is_product(op) && ggml_nrows(op->src[1]) >= min_columns(op->src[0]->type);
}

} // namespace

const Kernel matmul = {GGML_OP_MUL_MAT, accepts, work_size, compute};

} // namespace ggml_sys

#endif
