/* Vectors of 32-bit lanes for kernels, for AVX-512, for AVX2 with
 * FMA and F16C, and for ARM's NEON: the instructions and nothing of what they are
 * used for. A build for anything less defines no KERNEL_SIMD and has no kernels that
 * need them. */
#pragma once

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define KERNEL_SIMD 512
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define KERNEL_SIMD 256
#elif defined(__aarch64__)
#define KERNEL_SIMD 128
#endif

#ifdef KERNEL_SIMD

#ifdef __aarch64__
#include <arm_neon.h>
#else
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <limits>

namespace ggml_sys::simd {

constexpr float NEGATIVE_INFINITY = -std::numeric_limits<float>::infinity();

/* Adding and subtracting it rounds a number of size below 2^22 to a whole one,
 * which then stands in the lowest bits. */
constexpr float ROUNDER = 12582912.0f; // 1.5 · 2^23

/* Below this, 2^x leaves the range of normal numbers. */
constexpr float SMALLEST_EXPONENT = -126.0f;

/* The number of these bits in half precision. */
inline float from_half(uint16_t bits) {
#ifdef __aarch64__
    __fp16 half;
    std::memcpy(&half, &bits, sizeof half);
    return half;
#else
    return _cvtsh_ss(bits);
#endif
}

#if KERNEL_SIMD == 512

using Vec = __m512;
constexpr int LANES = 16;

inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec all(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float *p) { return _mm512_loadu_ps(p); }
inline void store(float *p, Vec x) { _mm512_storeu_ps(p, x); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline float sum(Vec x) { return _mm512_reduce_add_ps(x); }
inline float largest(Vec x) { return _mm512_reduce_max_ps(x); }

/* `x` where `tested` is greater than `bound`, else 0. */
inline Vec where_greater(Vec tested, Vec bound, Vec x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(tested, bound, _CMP_GT_OQ), x);
}

inline Vec times_power_of_2(Vec x, Vec rounded) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(rounded), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}

inline Vec from_f16(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i *>(p)));
}

inline Vec from_bf16(const void *p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i *>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

inline Vec from_i8(const void *p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i *>(p))));
}

/* The low or the high four bits of LANES bytes, as numbers. */
inline Vec from_nibbles(const void *p, bool high) {
    const __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i *>(p)));
    const __m512i shifted = _mm512_srli_epi32(wide, high ? 4 : 0);
    return _mm512_cvtepi32_ps(_mm512_and_si512(shifted, _mm512_set1_epi32(15)));
}

/* Stores the sums of the lanes of four vectors. */
inline void store_sums(float *p, Vec a, Vec b, Vec c, Vec d) {
    const Vec ab = add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const Vec cd = add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const Vec abcd = add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
    _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

/* Exchanges rows and columns. */
inline void transpose(Vec (&r)[LANES]) {
    Vec t[LANES];
    for (int i = 0; i < 16; i += 4) { // pairs of 32 bits, then of 64, inside each quarter
        const Vec a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        const Vec c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) { // then the quarters
        const Vec a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
        const Vec b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        const Vec c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        const Vec d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

#elif KERNEL_SIMD == 256

using Vec = __m256;
constexpr int LANES = 8;

inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec all(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float *p) { return _mm256_loadu_ps(p); }
inline void store(float *p, Vec x) { _mm256_storeu_ps(p, x); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }

inline float sum(Vec x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

inline float largest(Vec x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* `x` where `tested` is greater than `bound`, else 0. */
inline Vec where_greater(Vec tested, Vec bound, Vec x) {
    return _mm256_and_ps(_mm256_cmp_ps(tested, bound, _CMP_GT_OQ), x);
}

inline Vec times_power_of_2(Vec x, Vec rounded) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(rounded), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

inline Vec from_f16(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(p)));
}

inline Vec from_bf16(const void *p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i *>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

inline Vec from_i8(const void *p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(p))));
}

/* The low or the high four bits of LANES bytes, as numbers. */
inline Vec from_nibbles(const void *p, bool high) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(p)));
    const __m256i shifted = _mm256_srli_epi32(wide, high ? 4 : 0);
    return _mm256_cvtepi32_ps(_mm256_and_si256(shifted, _mm256_set1_epi32(15)));
}

/* Stores the sums of the lanes of four vectors. */
inline void store_sums(float *p, Vec a, Vec b, Vec c, Vec d) {
    const Vec abcd = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}

/* Exchanges rows and columns. */
inline void transpose(Vec (&r)[LANES]) {
    Vec t[LANES];
    for (int i = 0; i < 8; i += 4) { // pairs of 32 bits, then of 64, inside each half
        const Vec a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        const Vec c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) { // then the halves
        r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}

#else

using Vec = float32x4_t;
constexpr int LANES = 4;

inline Vec zero() { return vdupq_n_f32(0.0f); }
inline Vec all(float x) { return vdupq_n_f32(x); }
inline Vec load(const float *p) { return vld1q_f32(p); }
inline void store(float *p, Vec x) { vst1q_f32(p, x); }
inline Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
inline Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
inline Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
inline Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
inline Vec max(Vec a, Vec b) { return vmaxq_f32(a, b); }
inline float sum(Vec x) { return vaddvq_f32(x); }
inline float largest(Vec x) { return vmaxvq_f32(x); }

/* `x` where `tested` is greater than `bound`, else 0. */
inline Vec where_greater(Vec tested, Vec bound, Vec x) {
    return vreinterpretq_f32_u32(vandq_u32(vcgtq_f32(tested, bound), vreinterpretq_u32_f32(x)));
}

inline Vec times_power_of_2(Vec x, Vec rounded) {
    const int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(rounded), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), exponent));
}

inline Vec from_f16(const void *p) {
    const uint16x4_t bits = vld1_u16(static_cast<const uint16_t *>(p));
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

inline Vec from_bf16(const void *p) {
    const uint16x4_t bits = vld1_u16(static_cast<const uint16_t *>(p));
    return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}

/* LANES bytes, twice. */
inline uint8x8_t load_bytes(const void *p) {
    uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return vreinterpret_u8_u32(vdup_n_u32(word));
}

inline Vec from_i8(const void *p) {
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_u8(load_bytes(p)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

/* The low or the high four bits of LANES bytes, as numbers. */
inline Vec from_nibbles(const void *p, bool high) {
    const uint8x8_t both = load_bytes(p);
    const uint8x8_t code = high ? vshr_n_u8(both, 4) : vand_u8(both, vdup_n_u8(15));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(code))));
}

/* Stores the sums of the lanes of four vectors. */
inline void store_sums(float *p, Vec a, Vec b, Vec c, Vec d) {
    store(p, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}

/* Exchanges rows and columns. */
inline void transpose(Vec (&r)[LANES]) {
    const auto pairs = [](Vec x) { return vreinterpretq_f64_f32(x); };
    const float64x2_t a = pairs(vtrn1q_f32(r[0], r[1])), b = pairs(vtrn2q_f32(r[0], r[1]));
    const float64x2_t c = pairs(vtrn1q_f32(r[2], r[3])), d = pairs(vtrn2q_f32(r[2], r[3]));
    r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

#endif

/* 2^x for x ≤ 0, and 0 below SMALLEST_EXPONENT. The polynomial is the best one
 * of its degree for the relative error of 2^f, |f| ≤ 1/2 (Remez exchange):
 * 7.5e-5 for degree 3; 1.9e-9, in effect a rounding, for degree 6. */
template <int DEGREE> inline Vec exp2(Vec x) {
    static_assert(DEGREE == 3 || DEGREE == 6);
    const Vec rounded = add(x, all(ROUNDER));
    const Vec f = sub(x, sub(rounded, all(ROUNDER)));
    Vec power;
    if constexpr (DEGREE == 3) {
        power = all(0.0551716685295105f);
        power = fma(power, f, all(0.2426111251115799f));
        power = fma(power, f, all(0.6932609677314758f));
        power = fma(power, f, all(0.9999280571937561f));
    } else {
        power = all(0.0001534581242594868f);
        power = fma(power, f, all(0.0013399930903688073f));
        power = fma(power, f, all(0.009618489071726799f));
        power = fma(power, f, all(0.05550328642129898f));
        power = fma(power, f, all(0.24022646248340607f));
        power = fma(power, f, all(0.6931471824645996f));
        power = fma(power, f, all(1.0f));
    }
    return where_greater(x, all(SMALLEST_EXPONENT), times_power_of_2(power, rounded));
}

} // namespace ggml_sys::simd

#endif
