/* What the Rust bindings are generated from. */

#include <stdio.h>

/* libc's FILE has other fields on every system, and the bindings are to be the
 * same on all. Only pointers to it occur, so an unknown struct serves. */
struct ggml_file;
#define FILE struct ggml_file

#include "ggml.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "gguf.h"
