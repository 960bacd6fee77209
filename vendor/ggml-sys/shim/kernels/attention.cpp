/* Flash attention of our own: divides a problem among threads and runs one of the
 * two methods, attention/few.h for single tokens and attention/tiles.h for more. */
#include "attention.h"

#include "attention/few.h"
#include "attention/tiles.h"

#ifdef KERNEL_SIMD

namespace ggml_sys {
namespace attention {
namespace {

/* Queries of a head that are computed together, so that packing keys and values
 * costs little beside using them. Their state fits the second-level cache. */
constexpr int64_t ROWS_TOGETHER = 256;

/* With no more queries a head than this, and no fewer keys, the keys are divided
 * among threads, and each thread computes all heads of the keys that it reads: they
 * lie together in the cache of a decoder. It costs adding up. */
constexpr int64_t ROWS_STREAMED = 64;
constexpr int64_t KEYS_STREAMED = 512;

constexpr size_t ALIGNMENT = 64 / sizeof(float);

int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* How a problem is divided into units of work, of which threads take one after
 * another, and the memory that takes. Depends on shapes alone. */
struct Plan {
    int64_t rows;       // queries of a head in a unit
    int64_t row_blocks; // units along the queries
    int64_t heads;      // heads of keys in a unit
    int64_t spans;      // units along the keys

    int64_t state_rows;   // queries of a head in a unit, rounded up to whole tiles
    size_t state_floats;  // for each head of a unit
    size_t thread_floats; // for each thread
    size_t partial_floats;

    Plan(const Problem &p, int n_threads) {
        const bool streamed = p.n_rows() <= ROWS_STREAMED && p.n_keys >= KEYS_STREAMED;
        rows = std::min(p.n_rows(), ROWS_TOGETHER);
        row_blocks = divide_up(p.n_rows(), rows);
        heads = streamed ? p.n_key_heads : 1;
        spans = streamed ? n_threads : 1;
        state_rows = divide_up(rows, TILE) * TILE;
        state_floats = state_rows * (p.key_width + p.value_width + 2);
        const size_t scratch = BLOCK * (p.key_width + p.value_width + TILE + state_rows);
        thread_floats = heads * state_floats + scratch + ALIGNMENT;
        const size_t partials = p.n_sequences * p.n_key_heads * p.n_rows() * spans;
        partial_floats = spans > 1 ? partials * Results::partial_width(p) : 0;
    }

    int64_t head_blocks(const Problem &p) const { return divide_up(p.n_key_heads, heads); }

    int64_t n_units(const Problem &p) const {
        return p.n_sequences * head_blocks(p) * row_blocks * spans;
    }
};

/* The memory of one thread, cut into pieces. */
class Memory {
  public:
    Memory(const Problem &p, const Plan &plan, float *base) : p(p), plan(plan) {
        const auto address = reinterpret_cast<uintptr_t>(base);
        base += (64 - address % 64) % 64 / sizeof(float);
        states = base;
        base += plan.heads * plan.state_floats;
        scratch.keys = base;
        scratch.values = scratch.keys + BLOCK * p.key_width;
        scratch.scores = scratch.values + BLOCK * p.value_width;
        scratch.bias = scratch.scores + BLOCK * TILE;
    }

    /* Of the queries from `row` on, counted inside the unit; `row` begins a tile. */
    State state(int64_t head, int64_t row) const {
        State state;
        float *base = states + head * plan.state_floats;
        state.queries = base + row * p.key_width;
        state.mixed = base + plan.state_rows * p.key_width + row * p.value_width;
        state.peak = base + plan.state_rows * (p.key_width + p.value_width) + row;
        state.weight = state.peak + plan.state_rows;
        return state;
    }

    Scratch scratch;

  private:
    const Problem &p;
    const Plan &plan;
    float *states;
};

/* One piece of work: some heads of keys, some of their queries, some keys. */
struct Unit {
    int64_t sequence;
    int64_t first_head, end_head;
    int64_t first_row, end_row;
    int64_t first_key, end_key;
    int64_t span;

    Unit(const Problem &p, const Plan &plan, int64_t index) {
        span = index % plan.spans;
        index /= plan.spans;
        // The last queries see most, so they go first.
        const int64_t row_block = plan.row_blocks - 1 - index % plan.row_blocks;
        index /= plan.row_blocks;
        const int64_t head_block = index % plan.head_blocks(p);
        sequence = index / plan.head_blocks(p);
        first_head = head_block * plan.heads;
        end_head = std::min(first_head + plan.heads, p.n_key_heads);
        first_row = row_block * plan.rows;
        end_row = std::min(first_row + plan.rows, p.n_rows());
        first_key = 0;
        end_key = p.n_keys;
        if (plan.spans > 1) {
            // What nobody sees is not divided.
            const int64_t seen = seen_by_all(p, sequence);
            const int64_t length = divide_up(divide_up(seen, plan.spans), 4) * 4;
            first_key = std::min(span * length, seen);
            end_key = std::min(first_key + length, seen);
        }
    }
};

template <class Method> class Worker {
  public:
    Worker(const Problem &p, const Plan &plan, const Memory &memory, float *partials)
        : p(p), plan(plan), memory(memory), partials(partials) {}

    void run(const Unit &unit) const {
        for_each_state(unit, [&](const Rows &rows, const State &state) { Method::begin(p, rows, state); });
        for (int64_t key = unit.first_key; key < unit.end_key; key += BLOCK) {
            take_in(unit, key, static_cast<int>(std::min<int64_t>(BLOCK, unit.end_key - key)));
        }
        const Results results{plan.spans > 1 ? partials : nullptr, plan.spans, unit.span};
        for_each_state(unit, [&](const Rows &rows, const State &state) { Method::end(p, rows, state, results); });
    }

  private:
    const Problem &p;
    const Plan &plan;
    const Memory &memory;
    float *partials;

    /* Calls `f` for each tile of the unit's queries. */
    template <class F> void for_each_tile(const Unit &unit, int64_t head, const F &f) const {
        for (int64_t row = unit.first_row; row < unit.end_row; row += Method::ROWS) {
            const int n = static_cast<int>(std::min<int64_t>(Method::ROWS, unit.end_row - row));
            f(Rows{unit.sequence, head, row, n}, row - unit.first_row);
        }
    }

    template <class F> void for_each_state(const Unit &unit, const F &f) const {
        for (int64_t head = unit.first_head; head < unit.end_head; head++) {
            for_each_tile(unit, head, [&](const Rows &rows, int64_t at) {
                f(rows, memory.state(head - unit.first_head, at));
            });
        }
    }

    float *bias_of(int64_t at) const { return memory.scratch.bias + at * BLOCK; }

    /* Takes the block of `n` keys from `key` on into all states of the unit. */
    void take_in(const Unit &unit, int64_t key, int n) const {
        View views[ROWS_TOGETHER / Method::ROWS + 1];
        int most = 0;
        for_each_tile(unit, unit.first_head, [&](const Rows &rows, int64_t at) {
            const int64_t first = rows.first / p.per_key_head;
            const int64_t last = (rows.first + rows.n - 1) / p.per_key_head;
            View &view = views[at / Method::ROWS];
            view = look(p, rows.sequence, first, last, key, n);
            most = std::max(most, view.n);
            if (view.biased) {
                write_bias(p, rows.sequence, rows.first, rows.n, key, view.n, bias_of(at),
                           Method::key_step(rows.n), Method::ROW_STEP);
            }
        });
        if (most == 0) {
            return;
        }
        for (int64_t head = unit.first_head; head < unit.end_head; head++) {
            Method::prepare(p, Cells{unit.sequence, head, key, most}, unit.end_key, memory.scratch);
            for_each_tile(unit, head, [&](const Rows &rows, int64_t at) {
                const View &view = views[at / Method::ROWS];
                if (view.n > 0) {
                    const Cells cells{unit.sequence, head, key, view.n};
                    const float *bias = view.biased ? bias_of(at) : nullptr;
                    Method::take_in(p, rows, cells, bias, memory.state(head - unit.first_head, at), memory.scratch);
                }
            });
        }
    }
};

/* Adds up what the threads found for the rows `first`, `first + step`, …, counted
 * over sequences and heads of keys. */
void add_up(const Problem &p, const Plan &plan, const float *partials, int64_t first, int64_t step) {
    const int64_t width = Results::partial_width(p);
    const int64_t n = p.n_sequences * p.n_key_heads * p.n_rows();
    for (int64_t i = first; i < n; i += step) {
        const float *spans = partials + i * plan.spans * width;
        float peak = std::numeric_limits<float>::lowest();
        for (int64_t s = 0; s < plan.spans; s++) {
            peak = std::max(peak, spans[s * width + p.value_width]);
        }
        const int64_t head = i / p.n_rows();
        float *out = p.result_row(head / p.n_key_heads, head % p.n_key_heads, i % p.n_rows());
        std::fill_n(out, p.value_width, 0.0f);
        float weight = 0.0f;
        for (int64_t s = 0; s < plan.spans; s++) {
            const float *span = spans + s * width;
            const float factor = std::exp2(span[p.value_width] - peak);
            weight += factor * span[p.value_width + 1];
            for (int64_t e = 0; e < p.value_width; e += LANES) {
                store(out + e, fma(all(factor), load(span + e), load(out + e)));
            }
        }
        for (int64_t e = 0; weight > 0.0f && e < p.value_width; e += LANES) {
            store(out + e, div(load(out + e), all(weight)));
        }
    }
}

template <class Method>
void run(const ggml_compute_params *params, const Problem &p, const Plan &plan) {
    float *base = static_cast<float *>(params->wdata);
    float *partials = base + params->nth * plan.thread_floats;
    const Memory memory(p, plan, base + params->ith * plan.thread_floats);
    const Worker<Method> worker(p, plan, memory, partials);
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    const int64_t n_units = plan.n_units(p);
    for (int64_t unit = params->ith; unit < n_units; unit = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        worker.run(Unit(p, plan, unit));
    }
    if (plan.spans > 1) {
        ggml_barrier(params->threadpool);
        add_up(p, plan, partials, params->ith, params->nth);
    }
}

void compute(const ggml_compute_params *params, ggml_tensor *op) {
    const Problem p = read_problem(op);
    const Plan plan(p, params->nth);
    if (p.n_rows() <= Few::ROWS) {
        run<Few>(params, p, plan);
        return;
    }
#ifdef __AVX512BF16__
    if (!p.exact) {
        run<Tiles<Bf16>>(params, p, plan);
        return;
    }
#endif
    run<Tiles<F32>>(params, p, plan);
}

size_t work_size(int n_threads, const ggml_tensor *op) {
    // With fewer threads than planned for, there are fewer pieces of memory and spans.
    const Plan plan(read_problem(op), n_threads);
    return (n_threads * plan.thread_floats + plan.partial_floats) * sizeof(float);
}

} // namespace
} // namespace attention

const Kernel attention_kernel = {
    GGML_OP_FLASH_ATTN_EXT, attention::accepts, attention::work_size, attention::compute,
};

} // namespace ggml_sys

#endif
