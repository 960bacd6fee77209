/* Looking at masks before anything is computed: which keys of a block any query
 * of a tile sees, and what is to be added to their scores. */
#pragma once

#include "problem.h"

#ifdef KERNEL_SIMD

#include <algorithm>

namespace ggml_sys::attention {

constexpr uint16_t F16_NEGATIVE_INFINITY = 0xfc00;

/* What a tile of queries sees of a block of keys. */
struct View {
    int n;       // keys up to the last one that any of the queries sees
    bool biased; // whether anything is to be added to their scores
};

/* How many of the first `n` entries remain when those at the end that hide their
 * key are left out. */
inline int64_t seen(const uint16_t *mask, int64_t n) {
    constexpr uint64_t FOUR_HIDDEN = 0x0001000100010001u * F16_NEGATIVE_INFINITY;
    for (; n >= 4; n -= 4) {
        uint64_t four;
        memcpy(&four, mask + n - 4, sizeof four);
        if (four != FOUR_HIDDEN) {
            break;
        }
    }
    while (n > 0 && mask[n - 1] == F16_NEGATIVE_INFINITY) {
        n--;
    }
    return n;
}

/* Keys up to the last one that any query of the sequence sees. */
inline int64_t seen_by_all(const Problem &p, int64_t sequence) {
    if (!p.mask) {
        return p.n_keys;
    }
    int64_t most = 0;
    for (int64_t token = p.n_tokens - 1; token >= 0; token--) {
        const uint16_t *mask = p.mask_of(sequence, token);
        most += seen(mask + most, p.n_keys - most);
    }
    return most;
}

/* What the tokens from `first` to `last` see of the `n` keys from `key` on. */
inline View look(const Problem &p, int64_t sequence, int64_t first, int64_t last, int64_t key, int n) {
    if (!p.mask) {
        return {n, false};
    }
    int most = 0;
    for (int64_t token = last; token >= first; token--) {
        const uint16_t *mask = p.mask_of(sequence, token) + key;
        most += static_cast<int>(seen(mask + most, n - most));
    }
    uint16_t any = 0;
    for (int64_t token = first; token <= last; token++) {
        const uint16_t *mask = p.mask_of(sequence, token) + key;
        for (int i = 0; i < most; i++) {
            any |= mask[i];
        }
    }
    return {most, any != 0};
}

/* Writes what is added to the scores of the `n_rows` queries from `first_row` on for
 * the `n` keys from `key` on, in units of log2, `key_step` and `row_step` apart. */
inline void write_bias(const Problem &p, int64_t sequence, int64_t first_row, int n_rows, int64_t key,
                       int n, float *bias, int64_t key_step, int64_t row_step) {
    constexpr float LOG2_E = 1.4426950408889634f;
    for (int row = 0; row < n_rows;) {
        const int64_t token = (first_row + row) / p.per_key_head;
        const int end = static_cast<int>(std::min<int64_t>(n_rows, (token + 1) * p.per_key_head - first_row));
        const uint16_t *mask = p.mask_of(sequence, token) + key;
        for (int i = 0; i < n; i++) {
            const float value = from_half(mask[i]) * LOG2_E;
            for (int same = row; same < end; same++) {
                bias[i * key_step + same * row_step] = value;
            }
        }
        row = end;
    }
}

} // namespace ggml_sys::attention

#endif
