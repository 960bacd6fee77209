/* What the methods of computing attention work on: ranges of queries and keys,
 * working memory, and where results go. */
#pragma once

#include "problem.h"

#ifdef KERNEL_SIMD

namespace ggml_sys::attention {

/* Keys that are taken in at once: their scores and probabilities for a tile of
 * queries stay in the first-level cache. */
constexpr int BLOCK = 64;

/* Some of the queries that share a head of keys. */
struct Rows {
    int64_t sequence, key_head, first;
    int n;
};

/* A block of keys and values of one head. */
struct Cells {
    int64_t sequence, key_head, first;
    int n;
};

/* What is kept of some queries from block to block. How the queries and the sums
 * lie is the method's own business. */
struct State {
    float *queries; // scaled, so that scores are exponents of 2
    float *mixed;   // sums of values by probability
    float *peak;    // largest score so far, of each query
    float *weight;  // sum of the probabilities, of each query
};

/* Working memory for one block at a time. */
struct Scratch {
    float *keys, *values; // packed
    float *scores;
    float *bias; // what is added to the scores
};

/* Where sums go: to the result, or, if the keys are divided among threads, to
 * partial sums [sequence][key head][row][span], each of value_width sums, the largest
 * score and the weight. */
struct Results {
    float *partial; // null: to the result
    int64_t n_spans, span;

    static int64_t partial_width(const Problem &p) { return p.value_width + 2; }

    float *partial_row(const Problem &p, const Rows &rows, int i) const {
        const int64_t head = rows.sequence * p.n_key_heads + rows.key_head;
        const int64_t row = head * p.n_rows() + rows.first + i;
        return partial + (row * n_spans + span) * partial_width(p);
    }

    float *row(const Problem &p, const Rows &rows, int i) const {
        return partial ? partial_row(p, rows, i) : p.result_row(rows.sequence, rows.key_head, rows.first + i);
    }

    /* What sums are multiplied by before they go there. A query that sees no key
     * gets zeros. */
    Vec factor(Vec weight) const {
        return partial ? all(1.0f) : where_greater(weight, zero(), div(all(1.0f), weight));
    }

    void finish(const Problem &p, const Rows &rows, const State &state) const {
        for (int i = 0; partial && i < rows.n; i++) {
            float *row = partial_row(p, rows, i) + p.value_width;
            row[0] = state.peak[i];
            row[1] = state.weight[i];
        }
    }
};

} // namespace ggml_sys::attention

#endif
