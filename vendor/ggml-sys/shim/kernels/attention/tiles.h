/* The method for many queries: tiles of them, and keys and values packed once for
 * all tiles that use them. The state of a tile holds units of scaled queries
 * [key_width / PER_UNIT][lanes] and sums [value_width][lanes], where the lanes are the
 * tile's queries, rounded up to whole vectors. */
#pragma once

#include "mask.h"
#include "state.h"
#include "tile.h"

#ifdef KERNEL_SIMD

namespace ggml_sys::attention {

template <class A> struct Tiles {
    static constexpr int ROWS = TILE;

    /* How far apart what is added to scores lies, from key to key and from query to query. */
    static int64_t key_step(int n) { return lanes(n); }
    static constexpr int64_t ROW_STEP = 1;

    static int lanes(int n) { return (n + LANES - 1) / LANES * LANES; }

    static void begin(const Problem &p, const Rows &rows, const State &state) {
        const int n_lanes = lanes(rows.n);
        const Vec scale = all(p.scale);
        for (int lane = 0; lane < n_lanes; lane += LANES) {
            const float *row[LANES];
            for (int i = 0; i < LANES; i++) {
                const bool used = lane + i < rows.n;
                row[i] = used ? p.query_row(rows.sequence, rows.key_head, rows.first + lane + i) : nullptr;
            }
            for (int64_t unit = 0; unit < p.key_width / A::PER_UNIT; unit += LANES) {
                Vec square[LANES];
                for (int i = 0; i < LANES; i++) {
                    square[i] = row[i] ? A::query(row[i], unit, scale) : zero();
                }
                transpose(square);
                for (int i = 0; i < LANES; i++) {
                    store(state.queries + (unit + i) * n_lanes + lane, square[i]);
                }
            }
        }
        std::fill_n(state.mixed, p.value_width * n_lanes, 0.0f);
        std::fill_n(state.peak, n_lanes, NEGATIVE_INFINITY);
        std::fill_n(state.weight, n_lanes, 0.0f);
    }

    static void prepare(const Problem &p, const Cells &cells, int, const Scratch &scratch) {
        ATTENTION_FOR_TYPE(p.type, pack, p, cells, scratch);
    }

    static void take_in(const Problem &p, const Rows &rows, const Cells &cells, const float *bias,
                        const State &state, const Scratch &scratch) {
        const Block block{scratch.keys, scratch.values, cells.n, bias};
        const int vectors = lanes(rows.n) / LANES;
        take<TILE_VECTORS>(vectors, state, block, p, scratch.scores);
    }

    static void end(const Problem &p, const Rows &rows, const State &state, const Results &results) {
        const int n_lanes = lanes(rows.n);
        for (int lane = 0; lane < n_lanes; lane += LANES) {
            const Vec factor = results.factor(load(state.weight + lane));
            const int used = std::min(LANES, rows.n - lane);
            for (int64_t element = 0; element < p.value_width; element += LANES) {
                Vec square[LANES];
                for (int i = 0; i < LANES; i++) {
                    square[i] = mul(load(state.mixed + (element + i) * n_lanes + lane), factor);
                }
                transpose(square);
                for (int i = 0; i < used; i++) {
                    store(results.row(p, rows, lane + i) + element, square[i]);
                }
            }
        }
        results.finish(p, rows, state);
    }

  private:
    template <ggml_type TYPE>
    static void pack(const Problem &p, const Cells &cells, const Scratch &scratch) {
        const char *keys = p.key_row(cells.sequence, cells.key_head, cells.first);
        const char *values = p.value_row(cells.sequence, cells.key_head, cells.first);
        A::template pack_keys<TYPE>(scratch.keys, keys, p.key.token, cells.n, p.key_width);
        A::template pack_values<TYPE>(scratch.values, values, p.value.token, cells.n, p.value_width);
    }

    /* `take_in` for a number of vectors that is known at compile time. */
    template <int VECTORS>
    static void take(int vectors, const State &state, const Block &block, const Problem &p, float *scores) {
        if (VECTORS == vectors) {
            attention::take_in<A, VECTORS>(state, block, p.key_width, p.value_width, scores);
        } else if constexpr (VECTORS > 1) {
            take<VECTORS - 1>(vectors, state, block, p, scores);
        }
    }
};

} // namespace ggml_sys::attention

#endif
