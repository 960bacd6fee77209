// wrapper MODEL IMAGE SCRATCH-FILE CHECKPOINT: pixtral.hpp is the same library with C++'s manners.
#include <pixtral.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            std::cerr << __FILE__ << ":" << __LINE__ << ": not true: " #condition "\n"; \
            std::exit(1);                                                               \
        }                                                                               \
    } while (0)

namespace {

template <typename Exception, typename Body>
std::string thrown(Body body) {
    try {
        body();
    } catch (const Exception &e) {
        return e.what();
    }
    CHECK(!"nothing was thrown");
    return {};
}

pixtral::Session ask(const pixtral::Model &model, const pixtral::Image &image) {
    pixtral::SessionOptions options;
    options.n_threads = 1;
    options.n_ctx = 1024;
    pixtral::Session session(model, options);
    session.add(PIXTRAL_ROLE_SYSTEM, "Look closely.");
    session.truncate(0);
    session.add(pixtral::Message(PIXTRAL_ROLE_USER).add(image).add("Describe the image."));
    return session;
}

std::string pieces(pixtral::Session &session) {
    std::string text;
    session.start();
    while (auto piece = session.next()) {
        text += *piece;
    }
    return text;
}

struct Own : std::exception {
    const char *what() const noexcept override { return "the callback's own"; }
};

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 5);
    std::string scratch = argv[3];

    // The model leaves its scope before the session does.
    auto session = [&] {
        pixtral::ModelOptions verified;
        verified.verify = 1;
        auto model = pixtral::Model::open(argv[1], verified, [](const pixtral_event &event) {
            return event.kind == PIXTRAL_EVENT_KIND_VERIFYING;
        });
        CHECK(pixtral::devices().find("\"cpu\"") != std::string::npos);
        pixtral::SessionOptions nowhere;
        nowhere.device_names = {"gpu77"};
        CHECK(thrown<pixtral::Error>([&] { model.plan(nowhere); }).find("gpu77") !=
              std::string::npos);
        CHECK(model.plan().find("\"layers\"") != std::string::npos);
        CHECK(model.info().vocab_size == 2048);
        CHECK(model.metadata("general.architecture") == "\"pixtral\"");
        CHECK(!model.metadata("nothing"));
        auto copy = model;
        auto image = pixtral::Image::from_file(copy, argv[2]);
        std::ifstream file(argv[2], std::ios::binary);
        std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        auto same = pixtral::Image::from_memory(copy, bytes.data(), bytes.size());
        CHECK(same.info().n_tokens == image.info().n_tokens);
        auto white = pixtral::Image::from_rgb(copy, 8, 8, std::vector<uint8_t>(3 * 8 * 8, 255));
        CHECK(white.info().n_columns == 1);
        auto session = ask(copy, image);
        CHECK(session.embed(copy, white).size() == 256);
        return session;
    }();

    auto n_tokens = session.count_tokens();
    CHECK(session.estimate().n_images_to_encode == 1);
    auto text = pieces(session);
    auto answer = session.end();
    CHECK(answer.text == text && !text.empty() && !answer.tokens.empty());
    CHECK(answer.details.n_prompt_tokens == n_tokens && session.message_count() == 2);
    auto question = pixtral::Message(PIXTRAL_ROLE_USER);
    question.add("How many shapes are there?");
    CHECK(session.count_tokens(question) > n_tokens);
    CHECK(session.estimate(question).n_known_tokens >= n_tokens);
    CHECK(session.plan().find("\"output\":\"cpu\"") != std::string::npos);

    // What a callback throws comes out of the call, and the session is as good as before.
    session.truncate(1);
    auto message = thrown<Own>([&] {
        session.generate({}, [](const pixtral_event &event) -> bool {
            if (event.kind == PIXTRAL_EVENT_KIND_TEXT) {
                throw Own();
            }
            return true;
        });
    });
    CHECK(message == "the callback's own");
    session.truncate(1);
    pixtral::GenerateOptions options;
    options.stop_texts = {text.substr(8, 6)};
    answer = session.generate(options);
    CHECK(answer.details.finish == PIXTRAL_FINISH_STOP_TEXT);

    // Moved, saved, restored.
    session.truncate(1);
    auto moved = std::move(session);
    CHECK(moved.generate().text == text);
    moved.save(scratch);
    moved.truncate(0);
    moved.restore(scratch);
    CHECK(moved.message_count() == 2);
    moved.set_tools("[]");

    // Cancelled before it begins, and after it has ended.
    moved.truncate(1);
    moved.cancel();
    CHECK(thrown<pixtral::Error>([&] { moved.generate(); }).find("stopped") != std::string::npos);
    moved.cancel();
    moved.reset_cancel();
    CHECK(moved.generate().text == text);

    // An answer without an end, cancelled by another thread.
    moved.truncate(1);
    pixtral::GenerateOptions endless;
    endless.ignore_eos = 1;
    std::thread canceller;
    answer = moved.generate(endless, [&](const pixtral_event &event) {
        if (event.kind == PIXTRAL_EVENT_KIND_TEXT && !canceller.joinable()) {
            canceller = std::thread([&] { moved.cancel(); });
        }
        return true;
    });
    canceller.join();
    CHECK(answer.details.finish == PIXTRAL_FINISH_CANCELLED);

    try {
        pixtral::Model::open("nowhere");
        CHECK(!"it was opened");
    } catch (const pixtral::Error &e) {
        CHECK(e.status() == PIXTRAL_STATUS_NOT_FOUND);
        CHECK(std::string(e.what()) == "nowhere: no such file or folder");
    }

    pixtral::QuantizeOptions conversion;
    conversion.weight_type = "q8_0";
    conversion.tensor_types = {"^output\\.=f16"};
    conversion.overwrite = true;
    auto target = scratch + ".gguf";
    auto cancelled = thrown<pixtral::Error>([&] {
        pixtral::quantize(argv[4], target, conversion, [](const pixtral_event &event) {
            return event.done == 0;
        });
    });
    CHECK(cancelled.find("cancelled") != std::string::npos);
    auto report = pixtral::quantize(argv[4], target, conversion);
    CHECK(report.find("\"recipe\":\"q8_0, ") != std::string::npos);
    std::remove(target.c_str());
    conversion.weight_type = "q9";
    CHECK(thrown<pixtral::Error>([&] { pixtral::quantize(argv[4], target, conversion); })
              .find("q9") != std::string::npos);
}
