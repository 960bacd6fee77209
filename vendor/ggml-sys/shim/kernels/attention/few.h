/* The method for the few queries of a single token: vectors run along the heads'
 * elements, and each key and value is read once for all queries, straight from where
 * it lies, in f32 arithmetic. The state holds queries [row][key_width] and sums
 * [row][value_width]. */
#pragma once

#include "mask.h"
#include "state.h"

#ifdef KERNEL_SIMD

namespace ggml_sys::attention {

/* Queries that are computed together: what leaves registers for four keys. */
constexpr int FEW_TOGETHER = KERNEL_SIMD == 256 ? 2 : 4;

/* scores[row][key], four keys at a time, of which those from `n` on are repetitions of
 * the last one. */
template <ggml_type TYPE, int ROWS>
inline void few_scores(const float *queries, const char *keys, size_t stride, int n, int64_t width,
                       float *scores) {
    for (int key = 0; key < n; key += 4) {
        const char *row[4];
        for (int i = 0; i < 4; i++) {
            row[i] = keys + std::min(key + i, n - 1) * stride;
        }
        Vec total[ROWS][4];
        for (int r = 0; r < ROWS; r++) {
            for (int i = 0; i < 4; i++) {
                total[r][i] = zero();
            }
        }
        for (int64_t e = 0; e < width; e += LANES) {
            Vec k[4];
            for (int i = 0; i < 4; i++) {
                k[i] = elements<TYPE>(row[i], e);
            }
            for (int r = 0; r < ROWS; r++) {
                const Vec q = load(queries + r * width + e);
                for (int i = 0; i < 4; i++) {
                    total[r][i] = fma(q, k[i], total[r][i]);
                }
            }
        }
        for (int r = 0; r < ROWS; r++) {
            store_sums(scores + r * BLOCK + key, total[r][0], total[r][1], total[r][2], total[r][3]);
        }
    }
}

/* Adds VECTORS vectors of the values of `n` keys to `mixed`. */
template <ggml_type TYPE, int ROWS, int VECTORS>
inline void few_mix(const float *probabilities, const char *values, size_t stride, int n, int64_t first,
                    int64_t width, const float *keep, float *mixed) {
    Vec total[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < VECTORS; i++) {
            total[r][i] = mul(load(mixed + r * width + first + i * LANES), all(keep[r]));
        }
    }
    for (int key = 0; key < n; key++, values += stride) {
        Vec v[VECTORS];
        for (int i = 0; i < VECTORS; i++) {
            v[i] = elements<TYPE>(values, first + i * LANES);
        }
        for (int r = 0; r < ROWS; r++) {
            const Vec probability = all(probabilities[r * BLOCK + key]);
            for (int i = 0; i < VECTORS; i++) {
                total[r][i] = fma(probability, v[i], total[r][i]);
            }
        }
    }
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < VECTORS; i++) {
            store(mixed + r * width + first + i * LANES, total[r][i]);
        }
    }
}

/* Turns the scores of one query into probabilities and returns by what its sums so
 * far are to be multiplied. */
inline float few_soften(float *scores, const float *bias, int n, float &peak, float &weight) {
    std::fill(scores + n, scores + (n + LANES - 1) / LANES * LANES, NEGATIVE_INFINITY);
    for (int i = 0; bias && i < n; i++) {
        scores[i] += bias[i];
    }
    Vec highest = all(peak);
    for (int i = 0; i < n; i += LANES) {
        highest = max(highest, load(scores + i));
    }
    const float before = peak;
    peak = largest(highest);
    // A query that has seen no key yet: any finite reference gives 0 for all.
    const Vec reference = all(std::max(peak, std::numeric_limits<float>::lowest()));
    Vec total = zero();
    for (int i = 0; i < n; i += LANES) {
        const Vec probability = exp2<6>(sub(load(scores + i), reference));
        store(scores + i, probability);
        total = add(total, probability);
    }
    float keep[LANES];
    store(keep, exp2<6>(sub(all(before), reference)));
    weight = weight * keep[0] + sum(total);
    return keep[0];
}

struct Few {
    /* Most queries that are computed by this method: with more, tiles are faster. */
    static constexpr int ROWS = 8;
    static int64_t key_step(int) { return 1; }
    static constexpr int64_t ROW_STEP = BLOCK;

    static void begin(const Problem &p, const Rows &rows, const State &state) {
        for (int i = 0; i < rows.n; i++) {
            const float *query = p.query_row(rows.sequence, rows.key_head, rows.first + i);
            for (int64_t e = 0; e < p.key_width; e += LANES) {
                store(state.queries + i * p.key_width + e, mul(load(query + e), all(p.scale)));
            }
        }
        std::fill_n(state.mixed, rows.n * p.value_width, 0.0f);
        std::fill_n(state.peak, rows.n, NEGATIVE_INFINITY);
        std::fill_n(state.weight, rows.n, 0.0f);
    }

    /* Asks for the block after this one, while this one is computed: the heads of
     * one cell lie together, so reading along one head is no stream that the
     * processor would see by itself. */
    static void prepare(const Problem &p, const Cells &cells, int64_t end, const Scratch &) {
        const int64_t next = cells.first + BLOCK;
        const int64_t last = std::min<int64_t>(next + BLOCK, end);
        const size_t key_bytes = ggml_row_size(p.type, p.key_width);
        const size_t value_bytes = ggml_row_size(p.type, p.value_width);
        for (int64_t cell = next; cell < last; cell++) {
            prefetch(p.key_row(cells.sequence, cells.key_head, cell), key_bytes);
            prefetch(p.value_row(cells.sequence, cells.key_head, cell), value_bytes);
        }
    }

    static void take_in(const Problem &p, const Rows &rows, const Cells &cells, const float *bias,
                        const State &state, const Scratch &scratch) {
        ATTENTION_FOR_TYPE(p.type, take, p, rows, cells, bias, state, scratch.scores);
    }

    static void end(const Problem &p, const Rows &rows, const State &state, const Results &results) {
        for (int i = 0; i < rows.n; i++) {
            const Vec factor = results.factor(all(state.weight[i]));
            float *out = results.row(p, rows, i);
            for (int64_t e = 0; e < p.value_width; e += LANES) {
                store(out + e, mul(load(state.mixed + i * p.value_width + e), factor));
            }
        }
        results.finish(p, rows, state);
    }

  private:
    static void prefetch(const char *p, size_t n) {
        for (size_t i = 0; i < n; i += 64) {
            __builtin_prefetch(p + i, 0, 2);
        }
    }

    template <ggml_type TYPE>
    static void take(const Problem &p, const Rows &rows, const Cells &cells, const float *bias,
                     const State &state, float *scores) {
        int row = 0;
        for (; row + FEW_TOGETHER <= rows.n; row += FEW_TOGETHER) {
            take_rows<TYPE, FEW_TOGETHER>(p, cells, row, bias, state, scores);
        }
        for (; row < rows.n; row++) {
            take_rows<TYPE, 1>(p, cells, row, bias, state, scores);
        }
    }

    template <ggml_type TYPE, int N>
    static void take_rows(const Problem &p, const Cells &cells, int first, const float *bias,
                          const State &state, float *scores) {
        const char *keys = p.key_row(cells.sequence, cells.key_head, cells.first);
        const char *values = p.value_row(cells.sequence, cells.key_head, cells.first);
        few_scores<TYPE, N>(state.queries + first * p.key_width, keys, p.key.token, cells.n, p.key_width, scores);
        float keep[N];
        for (int r = 0; r < N; r++) {
            const float *row_bias = bias ? bias + (first + r) * ROW_STEP : nullptr;
            keep[r] = few_soften(scores + r * BLOCK, row_bias, cells.n, state.peak[first + r],
                                 state.weight[first + r]);
        }
        float *mixed = state.mixed + first * p.value_width;
        int64_t element = 0;
        for (; element + 4 * LANES <= p.value_width; element += 4 * LANES) {
            few_mix<TYPE, N, 4>(scores, values, p.value.token, cells.n, element, p.value_width, keep, mixed);
        }
        for (; element < p.value_width; element += LANES) {
            few_mix<TYPE, N, 1>(scores, values, p.value.token, cells.n, element, p.value_width, keep, mixed);
        }
    }
};

} // namespace ggml_sys::attention

#endif
