/* Flash attention of our own. */
#pragma once

#include "attention/simd.h"
#include "kernel.h"

namespace ggml_sys {

#ifdef ATTENTION_SIMD
extern const Kernel attention_kernel;
#endif

} // namespace ggml_sys
