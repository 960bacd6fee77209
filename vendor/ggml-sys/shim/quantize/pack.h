/* Pieces of a super-block of 256 values: the largest scale, final codes, packing. The layouts are
 * those of ggml-common.h. */
#pragma once

#include "lanes.h"

#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml.h"

namespace {

inline int within(int v, int low, int high) {
    return v < low ? low : v > high ? high : v;
}

/* Final codes of a block, those of (x + offset) / scale from `low` on, for the stored `scale` ≠ 0. */
template <int N>
void encode(const float *x, float offset, float scale, int low, int high, uint8_t *codes) {
    for (int i = 0; i < N; ++i) {
        codes[i] = uint8_t(within(nearest((x[i] + offset) / scale), low, high) - low);
    }
}

/* The largest magnitude. NaN counts as larger than all numbers. */
inline float magnitude_of(const float *x, int n) {
    int32_t most = 0;
    for (int i = 0; i < n; ++i) {
        int32_t bits;
        std::memcpy(&bits, x + i, sizeof(bits));
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float magnitude;
    std::memcpy(&magnitude, &most, sizeof(magnitude));
    return magnitude;
}

/* The largest of the scales of a super-block, from 0 on. */
template <int N> float largest(const float *values) {
    float most = 0;
    for (int i = 0; i < N; ++i) {
        most = values[i] > most ? values[i] : most;
    }
    return most;
}

/* The scale of largest magnitude of a super-block, the first of them. */
template <int N> float peak_of(const float *values) {
    float most = 0, peak = 0;
    for (int i = 0; i < N; ++i) {
        const float size = values[i] < 0 ? -values[i] : values[i];
        if (size > most) {
            most = size;
            peak = values[i];
        }
    }
    return peak;
}

/* The codes that the search found, for blocks whose stored scale is 0: they mean nothing, but are
 * in the file. */
template <int N, class Found>
void encode_as_searched(const float *x, const Found &found, int block, int top, uint8_t *codes) {
    const float inverse = found.inverse[block], low = found.low[block];
    for (int i = 0; i < N; ++i) {
        codes[i] = uint8_t(within(nearest(inverse * (x[i] - low)), 0, top));
    }
}

/* Four codes of two bits to a byte: those of 32 values, of the next 32, and so on. */
inline void pack_two_bits(const uint8_t *codes, uint8_t *out) {
    for (int half = 0; half < 2; ++half) {
        const uint8_t *c = codes + 128 * half;
        for (int i = 0; i < 32; ++i) {
            out[32 * half + i] = uint8_t(c[i] | c[i + 32] << 2 | c[i + 64] << 4 | c[i + 96] << 6);
        }
    }
}

/* The twelve bytes that hold eight scales and eight offsets of six bits. */
inline void pack_six_bits(const uint8_t *scales, const uint8_t *offsets, uint8_t *out) {
    for (int i = 0; i < 4; ++i) {
        out[i] = uint8_t(scales[i] | scales[i + 4] >> 4 << 6);
        out[i + 4] = uint8_t(offsets[i] | offsets[i + 4] >> 4 << 6);
        out[i + 8] = uint8_t((scales[i + 4] & 15) | (offsets[i + 4] & 15) << 4);
    }
}

inline void pack(const uint8_t (&codes)[QK_K], block_q4_K &y) {
    for (int pair = 0; pair < 4; ++pair) {
        const uint8_t *c = codes + 64 * pair;
        for (int i = 0; i < 32; ++i) {
            y.qs[32 * pair + i] = uint8_t(c[i] | c[i + 32] << 4);
        }
    }
}

inline void pack(const uint8_t (&codes)[QK_K], block_q5_K &y) {
    for (int i = 0; i < 32; ++i) {
        int high = 0;
        for (int pair = 0; pair < 4; ++pair) {
            const uint8_t first = codes[64 * pair + i], second = codes[64 * pair + 32 + i];
            y.qs[32 * pair + i] = uint8_t((first & 15) | (second & 15) << 4);
            high |= (first >> 4 | second >> 4 << 1) << (2 * pair);
        }
        y.qh[i] = uint8_t(high);
    }
}

} // namespace
