/* What a flash attention operation of ggml asks for, read out of its tensors, and
 * whether it is one that these kernels compute. */
#pragma once

#include "elements.h"

#ifdef KERNEL_SIMD

#include <cstring>

#include "ggml-impl.h"

namespace ggml_sys::attention {

/* Byte distances along the dimensions of queries, keys, values and mask. */
struct Strides {
    size_t token, head, sequence;
};

struct Problem {
    const char *queries, *keys, *values;
    const char *mask; // null if every query sees every key
    float *result;    // [sequence][token][head][value_width]
    Strides query, key, value, mask_row;

    int64_t key_width, value_width;
    int64_t n_tokens;    // queries of each head
    int64_t n_keys;      // keys of each head
    int64_t n_key_heads;
    int64_t per_key_head; // heads of queries that share a head of keys
    int64_t n_sequences, n_mask_sequences;

    ggml_type type; // of keys and values
    float scale;    // of scores whose base of exponentiation is 2
    bool exact;     // f32 arithmetic was asked for

    /* The queries that share a head of keys are numbered token by token. */
    int64_t n_rows() const { return n_tokens * per_key_head; }

    const float *query_row(int64_t sequence, int64_t key_head, int64_t row) const {
        const int64_t token = row / per_key_head, head = key_head * per_key_head + row % per_key_head;
        return reinterpret_cast<const float *>(queries + sequence * query.sequence + head * query.head +
                                               token * query.token);
    }

    float *result_row(int64_t sequence, int64_t key_head, int64_t row) const {
        const int64_t token = row / per_key_head, head = key_head * per_key_head + row % per_key_head;
        const int64_t n_heads = n_key_heads * per_key_head;
        return result + ((sequence * n_tokens + token) * n_heads + head) * value_width;
    }

    const char *key_row(int64_t sequence, int64_t head, int64_t cell) const {
        return keys + sequence * key.sequence + head * key.head + cell * key.token;
    }

    const char *value_row(int64_t sequence, int64_t head, int64_t cell) const {
        return values + sequence * value.sequence + head * value.head + cell * value.token;
    }

    /* What is added to the scores of a token, as f16. */
    const uint16_t *mask_of(int64_t sequence, int64_t token) const {
        return reinterpret_cast<const uint16_t *>(mask + sequence % n_mask_sequences * mask_row.sequence +
                                                  token * mask_row.token);
    }
};

/* The parameters that ggml stores with the operation. */
struct Parameters {
    float scale, max_bias, softcap;
    int32_t precision;
};
static_assert(sizeof(Parameters) <= GGML_MAX_OP_PARAMS);

inline Parameters parameters(const ggml_tensor *op) {
    Parameters p;
    memcpy(&p, op->op_params, sizeof p);
    return p;
}

/* Rows of a whole number of vectors, pairs of them for bf16. */
constexpr int WIDTH_STEP = 32;

inline bool accepts(const ggml_tensor *op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    const Parameters p = parameters(op);
    const bool plain = p.max_bias == 0.0f && p.softcap == 0.0f && !op->src[4];
    const bool types = q->type == GGML_TYPE_F32 && k->type == v->type && has_elements(k->type);
    const bool rows_are_whole = q->nb[0] == ggml_type_size(q->type) && k->nb[0] == ggml_type_size(k->type) &&
                                v->nb[0] == ggml_type_size(v->type) && q->nb[1] % sizeof(float) == 0 &&
                                q->nb[2] % sizeof(float) == 0 && q->nb[3] % sizeof(float) == 0;
    const bool widths = k->ne[0] % WIDTH_STEP == 0 && v->ne[0] % WIDTH_STEP == 0;
    const bool shapes = q->ne[0] == k->ne[0] && k->ne[1] == v->ne[1] && k->ne[2] == v->ne[2] &&
                        q->ne[2] % k->ne[2] == 0 && q->ne[3] == k->ne[3] && q->ne[3] == v->ne[3];
    const bool masked = !mask || (mask->type == GGML_TYPE_F16 && mask->ne[0] >= k->ne[1] &&
                                  mask->ne[1] >= q->ne[1] && mask->ne[2] == 1);
    return plain && types && rows_are_whole && widths && shapes && masked && ggml_is_contiguous(op);
}

inline Problem read_problem(const ggml_tensor *op) {
    constexpr float LOG2_E = 1.4426950408889634f;
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    const auto strides = [](const ggml_tensor *t) { return Strides{t->nb[1], t->nb[2], t->nb[3]}; };
    const auto data = [](const ggml_tensor *t) { return static_cast<const char *>(t->data); };
    const Parameters p = parameters(op);
    Problem problem;
    problem.queries = data(q);
    problem.keys = data(k);
    problem.values = data(v);
    problem.mask = mask ? data(mask) : nullptr;
    problem.result = static_cast<float *>(op->data);
    problem.query = strides(q);
    problem.key = strides(k);
    problem.value = strides(v);
    problem.mask_row = mask ? strides(mask) : Strides{};
    problem.key_width = k->ne[0];
    problem.value_width = v->ne[0];
    problem.n_tokens = q->ne[1];
    problem.n_keys = k->ne[1];
    problem.n_key_heads = k->ne[2];
    problem.per_key_head = q->ne[2] / k->ne[2];
    problem.n_sequences = q->ne[3];
    problem.n_mask_sequences = mask ? mask->ne[3] : 1;
    problem.type = k->type;
    problem.scale = p.scale * LOG2_E;
    problem.exact = p.precision == GGML_PREC_F32;
    return problem;
}

} // namespace ggml_sys::attention

#endif
