// Quantises a GGUF file by llama_model_quantize, as llama-quantize does; the package that llama.cpp is
// built from leaves that tool out.

#include "peer.h"

namespace {

llama_ftype type_of(const std::string & name) {
    // Names as pixtral-quantize has them; the mixtures are the same.
    const std::pair<const char *, llama_ftype> types[] = {
        { "q8_0", LLAMA_FTYPE_MOSTLY_Q8_0 },   { "q6_k", LLAMA_FTYPE_MOSTLY_Q6_K },
        { "q5_k", LLAMA_FTYPE_MOSTLY_Q5_K_M }, { "q4_k", LLAMA_FTYPE_MOSTLY_Q4_K_M },
        { "q3_k", LLAMA_FTYPE_MOSTLY_Q3_K_M }, { "q2_k", LLAMA_FTYPE_MOSTLY_Q2_K },
    };
    for (auto [known, type] : types) {
        if (name == known) {
            return type;
        }
    }
    throw std::runtime_error("no type is called " + name);
}

void run(int argc, char ** argv) {
    if (argc != 5) {
        throw std::runtime_error("expected FROM TO TYPE THREADS");
    }
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = type_of(argv[3]);
    params.nthread = number("threads", argv[4], 1);
    must(llama_model_quantize(argv[1], argv[2], &params) == 0, "quantising");
}

} // namespace

int main(int argc, char ** argv) {
    return run_reported("peer-quantize", [&] { run(argc, argv); });
}
