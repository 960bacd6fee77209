/* Which builds of the CPU kernels this processor can run: one function per
 * build, named as in the generated cpu_variants.h. Asks the processor itself:
 * __builtin_cpu_supports needs symbols that Rust's link line does not offer
 * (libgcc_s exports __cpu_model for old binaries only), and older compilers do
 * not know all names. */
#pragma once

#include <stdbool.h>

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>

enum { EAX, EBX, ECX, EDX };

static bool cpuid_bit(unsigned leaf, unsigned subleaf, int reg, int bit) {
    unsigned regs[4] = {0};
    if (!__get_cpuid_count(leaf, subleaf, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX])) {
        return false;
    }
    return (regs[reg] >> bit) & 1;
}

/* The operating system must save the wide registers too, or their contents are
 * lost at a context switch. XCR0 says which it saves. */
static bool os_saves(uint32_t mask) {
    if (!cpuid_bit(1, 0, ECX, 27)) { /* OSXSAVE: xgetbv exists */
        return false;
    }
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & mask) == mask;
}

static bool supports_baseline(void) {
    return true;
}

static bool supports_avx2(void) {
    return os_saves(0x06)               /* XMM, YMM */
        && cpuid_bit(1, 0, ECX, 12)     /* FMA */
        && cpuid_bit(1, 0, ECX, 29)     /* F16C */
        && cpuid_bit(7, 0, EBX, 5)      /* AVX2 */
        && cpuid_bit(7, 0, EBX, 8);     /* BMI2 */
}

static bool supports_avx2_vnni(void) {
    return supports_avx2() && cpuid_bit(7, 1, EAX, 4); /* AVX-VNNI */
}

static bool supports_avx512(void) {
    return supports_avx2()
        && os_saves(0xe6)               /* and opmask, both halves of ZMM */
        && cpuid_bit(7, 0, EBX, 16)     /* AVX512F */
        && cpuid_bit(7, 0, EBX, 17)     /* AVX512DQ */
        && cpuid_bit(7, 0, EBX, 28)     /* AVX512CD */
        && cpuid_bit(7, 0, EBX, 30)     /* AVX512BW */
        && cpuid_bit(7, 0, EBX, 31)     /* AVX512VL */
        && cpuid_bit(7, 0, ECX, 11);    /* AVX512_VNNI */
}

static bool supports_avx512_bf16(void) {
    return supports_avx512() && cpuid_bit(7, 1, EAX, 5); /* AVX512_BF16 */
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

/* From the kernel's <asm/hwcap.h>; older copies of it lack the later ones. */
#define FEATURE_FPHP (1ul << 9)
#define FEATURE_ASIMDHP (1ul << 10)
#define FEATURE_ASIMDDP (1ul << 20)
#define FEATURE2_I8MM (1ul << 13)

static bool has_all(unsigned long word, unsigned long mask) {
    return (getauxval(word) & mask) == mask;
}

static bool supports_baseline(void) {
    return true;
}

static bool supports_dotprod(void) {
    return has_all(AT_HWCAP, FEATURE_FPHP | FEATURE_ASIMDHP | FEATURE_ASIMDDP);
}

static bool supports_i8mm(void) {
    return supports_dotprod() && has_all(AT_HWCAP2, FEATURE2_I8MM);
}

#endif
