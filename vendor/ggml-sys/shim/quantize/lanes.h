/* Vectors of which each lane works on a block of weights of its own. Lanes never meet, so a lane
 * computes what scalar code would, operation for operation, and rounds as it does. Written with the
 * vector types of GCC and Clang; the instruction set is the one that the file is compiled for. */
#pragma once

#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

/* 1.5 · 2²³: numbers of this size have no fractions, so adding it rounds to the nearest integer,
 * ties to even, for all values below 2²². */
constexpr float ROUNDER = 12582912.f;

inline Floats splat(float value) {
    return value - Floats{};
}

inline Ints bits_of(Floats v) {
    return (Ints) v;
}

inline Floats abs(Floats v) {
    return (Floats) (bits_of(v) & 0x7fffffff);
}

inline Floats select(Ints mask, Floats yes, Floats no) {
    return mask ? yes : no;
}

/* `b` where they are equal. */
inline Floats min(Floats a, Floats b) {
    return a < b ? a : b;
}

/* `b` where they are equal. */
inline Floats max(Floats a, Floats b) {
    return a > b ? a : b;
}

inline Floats sqrt(Floats v) {
    for (int lane = 0; lane < LANES; ++lane) {
        v[lane] = __builtin_sqrtf(v[lane]);
    }
    return v;
}

inline bool any(Ints mask) {
    int32_t found = 0;
    for (int lane = 0; lane < LANES; ++lane) {
        found |= mask[lane];
    }
    return found != 0;
}

/* The nearest integer within the bounds; |v| < 2²². */
inline Floats round_within(Floats v, int low, int high) {
    return min(max(v + ROUNDER, splat(ROUNDER + low)), splat(ROUNDER + high)) - ROUNDER;
}

/* The nearest integer, and for larger or undefined values the same meaningless number that ggml
 * makes of them: the low bits of the sum, less those of the constant. */
inline int nearest(float v) {
    const float sum = v + ROUNDER;
    int32_t bits;
    std::memcpy(&bits, &sum, sizeof(bits));
    return (bits & 0x007fffff) - 0x00400000;
}

inline Ints nearest(Floats v) {
    return (bits_of(v + ROUNDER) & 0x007fffff) - 0x00400000;
}

/* Value i of each of LANES blocks of N values, which lie one behind the other. */
template <int N> void load(const float *blocks, Floats (&x)[N]) {
    for (int lane = 0; lane < LANES; ++lane) {
        for (int i = 0; i < N; ++i) {
            x[i][lane] = blocks[lane * N + i];
        }
    }
}

inline void store(Floats v, float *out) {
    std::memcpy(out, &v, sizeof(v));
}

} // namespace
