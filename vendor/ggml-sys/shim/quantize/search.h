/* The searches for the scale of each block: which of a fixed list of scales leaves the smallest
 * weighted error. Scales, weights and the order of sums are those of ggml's reference
 * (ggml-quants.c: make_qkx2_quants, make_qx_quants, make_q3_quants), which decide the bytes of a
 * file; how they are computed is not: LANES blocks at once, codes kept as floats, and the codes of
 * the best scale not kept at all, since they follow from it. */
#pragma once

#include "lanes.h"

namespace {

/* Blocks whose largest value is below this are taken for zeros (ggml's GROUP_MAX_EPS). */
constexpr float NOTHING = 1e-15f;

/* Values and differences from here up to 1 / SMALL have reciprocals, also times a code. */
constexpr float SMALL = 1e-30f;

/* Results for `Blocks` blocks. A value is scale · code − offset. */
template <int Blocks> struct Affine {
    float scale[Blocks], offset[Blocks];
    /* Whence the codes of the search: nearest(inverse · (x − low)). */
    float inverse[Blocks], low[Blocks];
};

/* Blocks of `T::VALUES` with codes 0 … T::TOP and an offset. Returns false, and no result, if
 * rounding would leave the range of `round_within` somewhere. */
template <class T, int Blocks>
bool search_affine(const Floats (&x)[T::VALUES], const Floats (&weights)[T::VALUES],
                   Affine<Blocks> &out, int at) {
    constexpr int N = T::VALUES;
    Floats lowest = x[0], high = x[0], sum_w = weights[0], sum_x = weights[0] * x[0];
    for (int i = 1; i < N; ++i) {
        lowest = min(x[i], lowest);
        high = max(x[i], high);
        sum_w += weights[i];
        sum_x += weights[i] * x[i];
    }
    lowest = select(lowest > 0, Floats{}, lowest);
    const Ints flat = high == lowest;

    Floats codes[N];
    const auto error_of = [&](Floats scale, Floats bottom) {
        Floats error{};
        for (int i = 0; i < N; ++i) {
            const Floats difference = scale * codes[i] + bottom - x[i];
            error += weights[i] * (T::ABSOLUTE ? abs(difference) : difference * difference);
        }
        return error;
    };

    Floats inverse = splat(T::TOP) / (high - lowest), scale = 1.f / inverse, bottom = lowest;
    for (int i = 0; i < N; ++i) {
        codes[i] = round_within(inverse * (x[i] - lowest), 0, T::TOP);
    }
    Floats error = error_of(scale, bottom);
    Floats low = lowest;
    Ints bounded = flat | (high - lowest > SMALL);
    for (int step = 0; step <= T::STEPS; ++step) {
        /* An offset that was found is where the next codes start from. */
        const Floats range = high - bottom;
        bounded &= flat | ((abs(range) > SMALL) & (abs(lowest - bottom) < 32768.f * abs(range)));
        const Floats next_inverse = splat(T::FIRST + T::STEP * step + T::TOP) / range;
        Floats sum_l{}, sum_l2{}, sum_xl{};
        for (int i = 0; i < N; ++i) {
            codes[i] = round_within(next_inverse * (x[i] - bottom), 0, T::TOP);
            const Floats weighted = weights[i] * codes[i];
            sum_l += weighted;
            sum_l2 += weighted * codes[i];
            sum_xl += weighted * x[i];
        }
        /* The line through codes and values with the least squares. */
        const Floats determinant = sum_w * sum_l2 - sum_l * sum_l;
        Floats next_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
        Floats next_bottom = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        const Ints above = next_bottom > 0;
        next_scale = select(above, sum_xl / sum_l2, next_scale);
        next_bottom = select(above, Floats{}, next_bottom);
        const Floats next_error = error_of(next_scale, next_bottom);
        const Ints better = (determinant > 0) & (next_error < error);
        error = select(better, next_error, error);
        scale = select(better, next_scale, scale);
        inverse = select(better, next_inverse, inverse);
        low = select(better, bottom, low);
        bottom = select(better, next_bottom, bottom);
    }

    store(select(flat, Floats{}, scale), out.scale + at);
    store(-select(flat, lowest, bottom), out.offset + at);
    store(select(flat, Floats{}, inverse), out.inverse + at);
    store(low, out.low + at);
    return !any(~bounded);
}

/* The value of largest magnitude, the first of them, and its magnitude. */
template <int N> Floats peak_of(const Floats (&x)[N], Floats &magnitude) {
    Floats peak{};
    magnitude = Floats{};
    for (int i = 0; i < N; ++i) {
        const Floats size = abs(x[i]);
        peak = select(size > magnitude, x[i], peak);
        magnitude = max(size, magnitude);
    }
    return peak;
}

/* Results for `Blocks` blocks. A value is scale · (code − T::HALF). */
template <int Blocks> struct Symmetric {
    float scale[Blocks];
    /* Whence the codes of the search: nearest(inverse · x) + T::HALF, or 0 if it is 0. */
    float inverse[Blocks];
};

/* Blocks of `T::VALUES` with codes 0 … 2·T::HALF − 1, each value weighted with its square. */
template <class T, int Blocks>
void search_symmetric(const Floats (&x)[T::VALUES], Symmetric<Blocks> &out, int at) {
    constexpr int N = T::VALUES;
    Floats magnitude;
    const Floats peak = peak_of(x, magnitude);
    Floats squares[N], cubes[N];
    for (int i = 0; i < N; ++i) {
        squares[i] = x[i] * x[i];
        cubes[i] = squares[i] * x[i];
    }
    Floats sum_lx, sum_l2;
    const auto sum_up = [&](Floats inverse) {
        sum_lx = sum_l2 = Floats{};
        for (int i = 0; i < N; ++i) {
            const Floats code = round_within(inverse * x[i], -T::HALF, T::HALF - 1);
            sum_lx += cubes[i] * code;
            sum_l2 += squares[i] * code * code;
        }
    };

    Floats best_inverse = splat(-T::HALF) / peak;
    sum_up(best_inverse);
    Floats best_scale = select(sum_l2 != 0, sum_lx / sum_l2, Floats{});
    Floats best = best_scale * sum_lx;
    for (int step = -9; step <= 9; ++step) {
        if (step == 0) {
            continue; /* as at the start */
        }
        const Floats inverse = splat(-(T::HALF + 0.1f * step)) / peak;
        sum_up(inverse);
        const Ints better = (sum_l2 > 0) & (sum_lx * sum_lx > best * sum_l2);
        const Floats scale = sum_lx / sum_l2;
        best_scale = select(better, scale, best_scale);
        best = select(better, scale * sum_lx, best);
        best_inverse = select(better, inverse, best_inverse);
    }

    const Ints nothing = magnitude < NOTHING;
    store(select(nothing, Floats{}, best_scale), out.scale + at);
    store(select(nothing, Floats{}, best_inverse), out.inverse + at);
}

/* Blocks of `T::VALUES` with codes 0 … 2·T::HALF − 1, each of which is moved in turn where that
 * helps. `codes` gets those of every value, LANES blocks side by side. */
template <class T>
void search_stepwise(const Floats (&x)[T::VALUES], float *scales, float (*codes)[LANES]) {
    constexpr int N = T::VALUES;
    Floats magnitude;
    const Floats peak = peak_of(x, magnitude), inverse = splat(-T::HALF) / peak;
    Floats squares[N], cubes[N], chosen[N], sum_lx{}, sum_l2{};
    for (int i = 0; i < N; ++i) {
        squares[i] = x[i] * x[i];
        cubes[i] = squares[i] * x[i];
        chosen[i] = round_within(inverse * x[i], -T::HALF, T::HALF - 1);
        sum_lx += cubes[i] * chosen[i];
        sum_l2 += squares[i] * chosen[i] * chosen[i];
    }
    /* A sweep that changes nothing in a lane would change nothing again. */
    for (int sweep = 0; sweep < 5; ++sweep) {
        Ints changed{};
        for (int i = 0; i < N; ++i) {
            const Floats lx = sum_lx - cubes[i] * chosen[i];
            const Floats l2 = sum_l2 - squares[i] * chosen[i] * chosen[i];
            /* Nothing bounds this quotient. */
            Ints code = nearest(x[i] * l2 / lx);
            code = code < -T::HALF ? Ints{} - T::HALF : code;
            code = code > T::HALF - 1 ? Ints{} + (T::HALF - 1) : code;
            const Floats moved = __builtin_convertvector(code, Floats);
            const Floats new_lx = lx + cubes[i] * moved;
            const Floats new_l2 = l2 + squares[i] * moved * moved;
            const Ints better = (lx > 0) & (moved != chosen[i]) & (new_l2 > 0) &
                                (new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2);
            chosen[i] = select(better, moved, chosen[i]);
            sum_lx = select(better, new_lx, sum_lx);
            sum_l2 = select(better, new_l2, sum_l2);
            changed |= better;
        }
        if (!any(changed)) {
            break;
        }
    }

    const Ints nothing = magnitude < NOTHING;
    const Floats scale = select(sum_l2 > 0, sum_lx / sum_l2, Floats{});
    store(select(nothing, Floats{}, scale), scales);
    for (int i = 0; i < N; ++i) {
        store(select(nothing, Floats{}, chosen[i] + T::HALF), codes[i]);
    }
}

} // namespace
