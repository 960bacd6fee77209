/* Compiled once per instruction set, without contraction of products and sums: fused operations
 * would round otherwise than the reference, and a file's bytes would depend on the machine. */
#include "quantize.h"

#if defined(__AVX2__) && defined(__GNUC__)

#include "types.h"

namespace {

template <class T> void quantize(ggml_type type, const float *x, void *out, int64_t n) {
    constexpr int BLOCKS = QK_K / T::VALUES;
    /* Super-blocks that fill the lanes, and how often they do. */
    constexpr int BATCH = LANES > BLOCKS ? LANES / BLOCKS : 1;
    auto *y = static_cast<typename T::Block *>(out);
    for (int64_t left = n / QK_K; left > 0;) {
        const int count = left < BATCH ? int(left) : BATCH;
        bool done = count == BATCH && magnitude_of(x, BATCH * QK_K) <= 1 / SMALL;
        typename T::Found found;
        for (int at = 0; done && at < BATCH * BLOCKS; at += LANES) {
            Floats values[T::VALUES];
            load(x + at * T::VALUES, values);
            done = T::search(values, found, at);
        }
        if (done) {
            for (int i = 0; i < BATCH; ++i) {
                T::encode(x + i * QK_K, found, i * BLOCKS, y[i]);
            }
        } else {
            ggml_quantize_chunk(type, x, y, 0, 1, count * QK_K, nullptr);
        }
        x += count * QK_K;
        y += count;
        left -= count;
    }
}

void quantize_q8_0(const float *x, void *out, int64_t n) {
    auto *y = static_cast<block_q8_0 *>(out);
    for (int64_t i = 0; i < n / QK8_0; ++i, x += QK8_0) {
        if (!encode_q8_0(x, y[i])) {
            ggml_quantize_chunk(GGML_TYPE_Q8_0, x, y + i, 0, 1, QK8_0, nullptr);
        }
    }
}

} // namespace

bool ggml_sys_quantize(ggml_type type, const float *src, void *dst, int64_t n) {
    switch (type) {
        case GGML_TYPE_Q2_K: quantize<Q2>(type, src, dst, n); return true;
        case GGML_TYPE_Q3_K: quantize<Q3>(type, src, dst, n); return true;
        case GGML_TYPE_Q4_K: quantize<Q4>(type, src, dst, n); return true;
        case GGML_TYPE_Q5_K: quantize<Q5>(type, src, dst, n); return true;
        case GGML_TYPE_Q6_K: quantize<Q6>(type, src, dst, n); return true;
        case GGML_TYPE_Q8_0: quantize_q8_0(src, dst, n); return true;
        default: return false;
    }
}

#else

bool ggml_sys_quantize(ggml_type, const float *, void *, int64_t) {
    return false;
}

#endif
