/* Compiled once per instruction set, together with that build of ggml's CPU
 * files. Its table is the one symbol that stays visible when they are linked
 * into one object. */
#include "cpu_api.h"

const struct ggml_sys_cpu_table GGML_SYS_CPU_TABLE = {
#define GGML_SYS_ENTRY_R(result, name, parameters, arguments) .name = name,
#define GGML_SYS_ENTRY_V(name, parameters, arguments) .name = name,
    GGML_SYS_CPU_API(GGML_SYS_ENTRY_R, GGML_SYS_ENTRY_V)
};
