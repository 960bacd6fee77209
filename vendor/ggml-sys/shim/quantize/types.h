/* From values to the bytes of each type: how its blocks are searched, and how the results become a
 * super-block. */
#pragma once

#include "pack.h"
#include "search.h"

namespace {

/* The struct of each type says: VALUES per block; search(x, found, at), for the LANES blocks from
 * `at` on, false if they are to be left to ggml; encode(x, found, at, y) for the super-block whose
 * blocks are found from `at` on. */

struct Q2 {
    typedef block_q2_K Block;
    typedef Affine<16> Found;
    static constexpr int VALUES = 16, TOP = 3, STEPS = 15;
    static constexpr float FIRST = -0.5f, STEP = 0.1f;
    static constexpr bool ABSOLUTE = true;

    static bool search(const Floats (&x)[VALUES], Found &found, int at) {
        Floats weights[VALUES];
        for (int i = 0; i < VALUES; ++i) {
            weights[i] = abs(x[i]);
        }
        return search_affine<Q2>(x, weights, found, at);
    }

    static void encode(const float *x, const Found &found, int, Block &y) {
        const float most_scale = largest<16>(found.scale);
        const float most_offset = largest<16>(found.offset);
        const float to_scale = most_scale > 0 ? 15.f / most_scale : 0.f;
        const float to_offset = most_offset > 0 ? 15.f / most_offset : 0.f;
        for (int j = 0; j < 16; ++j) {
            const int scale = nearest(to_scale * found.scale[j]);
            const int offset = nearest(to_offset * found.offset[j]);
            y.scales[j] = uint8_t(scale | offset << 4);
        }
        y.d = ggml_fp32_to_fp16(most_scale / 15.f);
        y.dmin = ggml_fp32_to_fp16(most_offset / 15.f);
        const float unit = ggml_fp16_to_fp32(y.d), offset_unit = ggml_fp16_to_fp32(y.dmin);
        uint8_t codes[QK_K];
        for (int j = 0; j < 16; ++j) {
            const float scale = unit * (y.scales[j] & 15);
            if (scale) {
                const float offset = offset_unit * (y.scales[j] >> 4);
                ::encode<16>(x + 16 * j, offset, scale, 0, TOP, codes + 16 * j);
            } else {
                encode_as_searched<16>(x + 16 * j, found, j, TOP, codes + 16 * j);
            }
        }
        pack_two_bits(codes, y.qs);
    }
};

struct Q3 {
    typedef block_q3_K Block;
    struct Found {
        float scale[16];
        float codes[16 / LANES][16][LANES];
    };
    static constexpr int VALUES = 16, HALF = 4;

    static bool search(const Floats (&x)[VALUES], Found &found, int at) {
        search_stepwise<Q3>(x, found.scale + at, found.codes[at / LANES]);
        return true;
    }

    static void encode(const float *x, const Found &found, int, Block &y) {
        const float peak = peak_of<16>(found.scale);
        const float inverse = -32.f / peak;
        y.d = ggml_fp32_to_fp16(peak ? 1 / inverse : 0.f);
        const float unit = ggml_fp16_to_fp32(y.d);
        uint8_t codes[QK_K];
        std::memset(y.scales, 0, sizeof(y.scales));
        for (int j = 0; j < 16; ++j) {
            /* Six bits that stand for −32 … 31, or zeros if there is no scale at all. */
            const int rounded = int8_t(nearest(inverse * found.scale[j]));
            const int stored = peak ? within(rounded, -32, 31) + 32 : 0;
            y.scales[j % 8] |= uint8_t((stored & 15) << (j / 8 * 4));
            y.scales[8 + j % 4] |= uint8_t(stored >> 4 << (j / 4 * 2));
            const float scale = unit * (stored - 32);
            if (scale) {
                ::encode<16>(x + 16 * j, 0, scale, -HALF, HALF - 1, codes + 16 * j);
            } else {
                for (int i = 0; i < 16; ++i) {
                    codes[16 * j + i] = uint8_t(found.codes[j / LANES][i][j % LANES]);
                }
            }
        }
        for (int i = 0; i < 32; ++i) {
            int high = 0;
            for (int eighth = 0; eighth < 8; ++eighth) {
                high |= codes[32 * eighth + i] >> 2 << eighth;
            }
            y.hmask[i] = uint8_t(high);
        }
        for (uint8_t &code : codes) {
            code &= 3;
        }
        pack_two_bits(codes, y.qs);
    }
};

/* What q4_K and q5_K have in common: eight blocks of 32 values, of which each weighs more the larger
 * it and its block are. */
template <class B, class Codes> struct Eight : Codes {
    typedef B Block;
    typedef Affine<(LANES > 8 ? LANES : 8)> Found;
    static constexpr int VALUES = 32;
    static constexpr float STEP = 0.1f;
    static constexpr bool ABSOLUTE = false;

    static bool search(const Floats (&x)[VALUES], Found &found, int at) {
        Floats sum{}, weights[VALUES];
        for (int i = 0; i < VALUES; ++i) {
            sum += x[i] * x[i];
        }
        const Floats average = sqrt(sum / 32.f);
        for (int i = 0; i < VALUES; ++i) {
            weights[i] = average + abs(x[i]);
        }
        return search_affine<Eight>(x, weights, found, at);
    }

    static void encode(const float *x, const Found &found, int at, Block &y) {
        const float most_scale = largest<8>(found.scale + at);
        const float most_offset = largest<8>(found.offset + at);
        const float to_scale = most_scale > 0 ? 63.f / most_scale : 0.f;
        const float to_offset = most_offset > 0 ? 63.f / most_offset : 0.f;
        uint8_t scales[8], offsets[8];
        for (int j = 0; j < 8; ++j) {
            const auto scale = uint8_t(nearest(to_scale * found.scale[at + j]));
            const auto offset = uint8_t(nearest(to_offset * found.offset[at + j]));
            scales[j] = uint8_t(within(scale, 0, 63));
            offsets[j] = uint8_t(within(offset, 0, 63));
        }
        pack_six_bits(scales, offsets, y.scales);
        y.d = ggml_fp32_to_fp16(most_scale / 63.f);
        y.dmin = ggml_fp32_to_fp16(most_offset / 63.f);
        const float unit = ggml_fp16_to_fp32(y.d), offset_unit = ggml_fp16_to_fp32(y.dmin);
        uint8_t codes[QK_K];
        for (int j = 0; j < 8; ++j) {
            const float *block = x + 32 * j, scale = unit * scales[j];
            if (scale) {
                ::encode<32>(block, offset_unit * offsets[j], scale, 0, Codes::TOP, codes + 32 * j);
            } else {
                encode_as_searched<32>(block, found, at + j, Codes::TOP, codes + 32 * j);
            }
        }
        pack(codes, y);
    }
};

struct FourBits {
    static constexpr int TOP = 15, STEPS = 20;
    static constexpr float FIRST = -1.f;
};

struct FiveBits {
    static constexpr int TOP = 31, STEPS = 15;
    static constexpr float FIRST = -0.5f;
};

typedef Eight<block_q4_K, FourBits> Q4;
typedef Eight<block_q5_K, FiveBits> Q5;

struct Q6 {
    typedef block_q6_K Block;
    typedef Symmetric<16> Found;
    static constexpr int VALUES = 16, HALF = 32;

    static bool search(const Floats (&x)[VALUES], Found &found, int at) {
        search_symmetric<Q6>(x, found, at);
        return true;
    }

    static void encode(const float *x, const Found &found, int, Block &y) {
        const float peak = peak_of<16>(found.scale);
        if ((peak < 0 ? -peak : peak) < NOTHING) {
            std::memset(&y, 0, sizeof(y));
            return;
        }
        const float inverse = -128.f / peak;
        y.d = ggml_fp32_to_fp16(1 / inverse);
        const float unit = ggml_fp16_to_fp32(y.d);
        uint8_t codes[QK_K];
        for (int j = 0; j < 16; ++j) {
            const int stored = nearest(inverse * found.scale[j]);
            y.scales[j] = int8_t(stored > 127 ? 127 : stored);
            const float scale = unit * y.scales[j];
            if (scale) {
                ::encode<16>(x + 16 * j, 0, scale, -HALF, HALF - 1, codes + 16 * j);
                continue;
            }
            const float searched = found.inverse[j];
            for (int i = 0; i < 16; ++i) {
                const int code = within(nearest(searched * x[16 * j + i]), -HALF, HALF - 1) + HALF;
                codes[16 * j + i] = uint8_t(searched ? code : 0);
            }
        }
        for (int half = 0; half < 2; ++half) {
            const uint8_t *c = codes + 128 * half;
            for (int i = 0; i < 32; ++i) {
                y.ql[64 * half + i] = uint8_t((c[i] & 15) | (c[i + 64] & 15) << 4);
                y.ql[64 * half + 32 + i] = uint8_t((c[i + 32] & 15) | (c[i + 96] & 15) << 4);
                const int high = c[i] >> 4 | c[i + 32] >> 4 << 2 | c[i + 64] >> 4 << 4;
                y.qh[32 * half + i] = uint8_t(high | c[i + 96] >> 4 << 6);
            }
        }
    }
};

/* A block of q8_0. Returns false, and writes nothing, unless its magnitudes are 0 or moderate. */
inline bool encode_q8_0(const float *x, block_q8_0 &y) {
    const float most = magnitude_of(x, QK8_0);
    if (!(most <= 1 / SMALL) || (most != 0 && most < SMALL)) {
        return false;
    }
    const float scale = most / 127, inverse = scale ? 1.f / scale : 0.f;
    y.d = ggml_fp32_to_fp16(scale);
    for (int i = 0; i < QK8_0; ++i) {
        /* To the nearest integer, ties away from zero. */
        const float v = x[i] * inverse;
        const int whole = int(v);
        const float rest = v - whole;
        y.qs[i] = int8_t(whole + (rest >= 0.5f) - (rest <= -0.5f));
    }
    return true;
}

} // namespace
