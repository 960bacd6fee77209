/* Attention of a tile of queries, one in each lane of a few vectors, so that the
 * softmax needs no sums across lanes and keys and values are read where they lie,
 * element by element for all queries. Online softmax: each step takes a block of
 * keys and values in, and may raise the largest score seen, which scales down what
 * was summed before (Milakov and Gimelshein, 2018; Dao et al., 2022). */
#pragma once

#include "arithmetic.h"
#include "state.h"

#ifdef KERNEL_SIMD

namespace ggml_sys::attention {

/* Most vectors of queries in a tile: what leaves registers for the blocking. */
constexpr int TILE_VECTORS = KERNEL_SIMD == 256 ? 2 : 4;
constexpr int TILE = TILE_VECTORS * LANES;

/* A block of keys and values, packed, and what to add to its scores. */
struct Block {
    const float *keys;   // units [n][width / PER_UNIT]
    const float *values; // units [n / PER_UNIT, rounded up][width]
    int n;
    const float *bias; // [n][lanes], or null
};

/* How many results of a product are kept in registers for each vector of queries:
 * enough to hide the latency of a multiplication (measured on x86). */
constexpr int rows_at_once(int vectors) {
    return vectors == 1 ? 8 : KERNEL_SIMD == 256 ? 6 : 4;
}

/* sums[m][v] += Σ_k a[k][v] · b[m · step_m + k · step_k], units of A. */
template <class A, int VECTORS, int ROWS>
inline void multiply(const float *a, const float *b, int64_t step_m, int64_t step_k, int64_t n_k,
                     Vec (&sums)[ROWS][VECTORS]) {
    for (int64_t k = 0; k < n_k; k++, a += VECTORS * LANES, b += step_k) {
        Vec lane[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            lane[v] = load(a + v * LANES);
        }
#pragma GCC unroll 8
        for (int m = 0; m < ROWS; m++) {
            const Vec one = all(b[m * step_m]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                sums[m][v] = A::multiply(lane[v], one, sums[m][v]);
            }
        }
    }
}

/* Scores of ROWS keys from `first` on; raises `peak`. */
template <class A, int VECTORS, int ROWS>
inline void score_rows(const State &tile, const Block &block, int64_t n_units, int first,
                       float *scores, Vec (&peak)[VECTORS]) {
    Vec sums[ROWS][VECTORS];
    for (int m = 0; m < ROWS; m++) {
        for (int v = 0; v < VECTORS; v++) {
            sums[m][v] = zero();
        }
    }
    multiply<A, VECTORS, ROWS>(tile.queries, block.keys + first * n_units, n_units, 1, n_units, sums);
    for (int m = 0; m < ROWS; m++) {
        for (int v = 0; v < VECTORS; v++) {
            const int64_t at = ((first + m) * VECTORS + v) * LANES;
            const Vec score = block.bias ? add(sums[m][v], load(block.bias + at)) : sums[m][v];
            store(scores + at, score);
            peak[v] = max(peak[v], score);
        }
    }
}

/* Adds ROWS elements of the values, from `first` on, to what is mixed. */
template <class A, int VECTORS, int ROWS>
inline void mix_rows(const State &tile, const Block &block, int64_t width, int first,
                     const float *probabilities, const Vec (&keep)[VECTORS]) {
    float *mixed = tile.mixed + first * VECTORS * LANES;
    Vec sums[ROWS][VECTORS];
    for (int m = 0; m < ROWS; m++) {
        for (int v = 0; v < VECTORS; v++) {
            sums[m][v] = mul(load(mixed + (m * VECTORS + v) * LANES), keep[v]);
        }
    }
    const int n_units = (block.n + A::PER_UNIT - 1) / A::PER_UNIT;
    multiply<A, VECTORS, ROWS>(probabilities, block.values + first, 1, width, n_units, sums);
    for (int m = 0; m < ROWS; m++) {
        for (int v = 0; v < VECTORS; v++) {
            store(mixed + (m * VECTORS + v) * LANES, sums[m][v]);
        }
    }
}

/* Turns one vector of queries' scores into probabilities, where they lie, and
 * returns by what the sums so far are to be multiplied. */
template <class A, int VECTORS>
inline Vec soften(const State &tile, int v, int n, Vec block_peak, float *scores) {
    const Vec before = load(tile.peak + v * LANES);
    const Vec peak = max(before, block_peak);
    store(tile.peak + v * LANES, peak);
    // Queries that have seen no key yet: any finite reference gives 0 for them.
    const Vec reference = max(peak, all(std::numeric_limits<float>::lowest()));
    const Vec keep = exp2<A::EXP_DEGREE>(sub(before, reference));
    Vec weight = mul(load(tile.weight + v * LANES), keep);
    float *out = scores + v * LANES;
    for (int key = 0; key < n; key += A::PER_UNIT, out += VECTORS * LANES) {
        const float *in = scores + (key * VECTORS + v) * LANES;
        const Vec first = exp2<A::EXP_DEGREE>(sub(load(in), reference));
        weight = add(weight, first);
        Vec second = zero();
        if (A::PER_UNIT == 2 && key + 1 < n) {
            second = exp2<A::EXP_DEGREE>(sub(load(in + VECTORS * LANES), reference));
            weight = add(weight, second);
        }
        store(out, A::probabilities(first, second));
    }
    store(tile.weight + v * LANES, weight);
    return keep;
}

/* Takes `block` into `tile`. `scores` has room for a block's scores of a tile. */
template <class A, int VECTORS>
void take_in(const State &tile, const Block &block, int64_t key_width, int64_t value_width,
             float *scores) {
    constexpr int ROWS = rows_at_once(VECTORS);
    const int64_t n_units = key_width / A::PER_UNIT;
    Vec peak[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        peak[v] = all(NEGATIVE_INFINITY);
    }
    int key = 0;
    for (; key + ROWS <= block.n; key += ROWS) {
        score_rows<A, VECTORS, ROWS>(tile, block, n_units, key, scores, peak);
    }
    for (; key + 2 <= block.n; key += 2) {
        score_rows<A, VECTORS, 2>(tile, block, n_units, key, scores, peak);
    }
    for (; key < block.n; key++) {
        score_rows<A, VECTORS, 1>(tile, block, n_units, key, scores, peak);
    }
    Vec keep[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        keep[v] = soften<A, VECTORS>(tile, v, block.n, peak[v], scores);
    }
    int element = 0;
    for (; element + ROWS <= value_width; element += ROWS) {
        mix_rows<A, VECTORS, ROWS>(tile, block, value_width, element, scores, keep);
    }
    for (; element < value_width; element += 2) {
        mix_rows<A, VECTORS, 2>(tile, block, value_width, element, scores, keep);
    }
}

} // namespace ggml_sys::attention

#endif
