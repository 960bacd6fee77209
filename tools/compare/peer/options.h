// The command line of peer-bench.
#pragma once

#include "peer.h"

struct Options {
    std::string model, mmproj, picture, question, second, save_state, load_state;
    int threads = 1, prompt = 0, generate = 0, before = 0, parallel = 1, context = 0, repetitions = 1;
    int image_max_tokens = -1;
    int gpu_layers = 0; // of the text model; the vision tower goes with the first
    bool repack = true, mmap = true;
    llama_flash_attn_type flash = LLAMA_FLASH_ATTN_TYPE_AUTO;
    std::vector<std::pair<int, int>> images;

    // Takes an option with its value; false if there is none of this name.
    bool take(const std::string & name, const char * value) {
        const std::pair<const char *, std::string *> texts[] = {
            { "--model", &model },       { "--mmproj", &mmproj }, { "--picture", &picture },
            { "--question", &question }, { "--second", &second }, { "--save-state", &save_state },
            { "--load-state", &load_state },
        };
        const std::pair<const char *, int *> numbers[] = {
            { "--threads", &threads },         { "--prompt", &prompt },
            { "--generate", &generate },       { "--before", &before },
            { "--context", &context },         { "--repetitions", &repetitions },
            { "--image-max-tokens", &image_max_tokens }, { "--parallel", &parallel },
        };
        for (auto [known, text] : texts) {
            if (name == known) {
                *text = value;
                return true;
            }
        }
        for (auto [known, n] : numbers) {
            if (name == known) {
                *n = number(name, value, 1);
                return true;
            }
        }
        if (name == "--gpu-layers") {
            gpu_layers = number(name, value, 0);
            return true;
        }
        if (name == "--image") {
            int width = 0, height = 0;
            if (std::sscanf(value, "%dx%d", &width, &height) != 2 || width < 1 || height < 1) {
                throw std::runtime_error("--image: expected WIDTHxHEIGHT, found " + std::string(value));
            }
            images.emplace_back(width, height);
            return true;
        }
        return false;
    }
};

inline Options parse(int argc, char ** argv) {
    Options o;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--no-repack") {
            o.repack = false;
        } else if (name == "--no-mmap") {
            o.mmap = false;
        } else if (name == "--flash-attn") {
            o.flash = LLAMA_FLASH_ATTN_TYPE_ENABLED;
        } else if (i + 1 == argc) {
            throw std::runtime_error(name + ": unknown, or a value is missing");
        } else if (!o.take(name, argv[++i])) {
            throw std::runtime_error("unknown option " + name);
        }
    }
    if (o.model.empty()) {
        throw std::runtime_error("--model is needed");
    }
    if (o.mmproj.empty() && (!o.images.empty() || !o.picture.empty())) {
        throw std::runtime_error("--mmproj is needed for pictures");
    }
    if (o.parallel > 1 && (o.prompt == 0 || o.generate == 0)) {
        throw std::runtime_error("--parallel needs --prompt and --generate");
    }
    if (o.generate > 0 && o.prompt == 0) {
        throw std::runtime_error("--generate needs --prompt");
    }
    return o;
}
