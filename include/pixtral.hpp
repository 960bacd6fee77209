/*
 * pixtral for C++17: the handles of pixtral.h as values that free themselves, errors as exceptions,
 * callbacks as functions. Header only; everything is a thin layer over pixtral.h, which says what
 * each call does and which threads may make it.
 */

#ifndef PIXTRAL_HPP
#define PIXTRAL_HPP

#include "pixtral.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pixtral {

/// A failed call: its status, and the sentence that explains it.
class Error : public std::runtime_error {
public:
    Error(pixtral_status status, const std::string &message)
        : std::runtime_error(message), status_(status) {}

    pixtral_status status() const noexcept { return status_; }

private:
    pixtral_status status_;
};

/// Is told of progress and text; false stops the call. What it throws comes out of the call.
using Callback = std::function<bool(const pixtral_event &)>;

namespace detail {

inline void check(pixtral_status status) {
    if (status != PIXTRAL_STATUS_OK) {
        throw Error(status, pixtral_last_error());
    }
}

/// Calls a Callback from C, through which no exception may pass.
struct Trampoline {
    const Callback &callback;
    std::exception_ptr thrown = nullptr;

    static int32_t call(const pixtral_event *event, void *self) noexcept {
        auto &trampoline = *static_cast<Trampoline *>(self);
        try {
            return trampoline.callback(*event) ? 0 : 1;
        } catch (...) {
            trampoline.thrown = std::current_exception();
            return 1;
        }
    }

    pixtral_event_callback function() const { return callback ? &call : nullptr; }

    void check(pixtral_status status) const {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
        detail::check(status);
    }
};

template <typename T, void (*release)(T *)>
struct Free {
    void operator()(T *handle) const noexcept { release(handle); }
};

template <typename T, void (*release)(T *)>
using Handle = std::unique_ptr<T, Free<T, release>>;

inline std::string take(char *text) {
    Handle<char, pixtral_string_free> owned(text);
    return std::string(text);
}

inline std::vector<pixtral_str> list(const std::vector<std::string> &texts) {
    std::vector<pixtral_str> items;
    items.reserve(texts.size());
    for (const auto &text : texts) {
        items.push_back({text.data(), text.size()});
    }
    return items;
}

/// Options of C with their defaults.
template <typename T, pixtral_status (*init)(T *, size_t)>
struct Defaults : T {
    Defaults() : T() { check(init(this, sizeof(T))); }
};

} // namespace detail

using ImageOptions = detail::Defaults<pixtral_image_options, pixtral_image_options_init>;
using ModelOptions = detail::Defaults<pixtral_model_options, pixtral_model_options_init>;

/// Its devices are in `device_names`.
struct SessionOptions : detail::Defaults<pixtral_session_options, pixtral_session_options_init> {
    std::vector<std::string> device_names;
};

/// Its stop texts are in `stop_texts`.
struct GenerateOptions
    : detail::Defaults<pixtral_generate_options, pixtral_generate_options_init> {
    std::vector<std::string> stop_texts;
};

namespace detail {

inline pixtral_session_options with_devices(const SessionOptions &options,
                                            const std::vector<pixtral_str> &devices) {
    pixtral_session_options given = options;
    if (!devices.empty()) {
        given.devices = devices.data();
        given.n_devices = devices.size();
    }
    return given;
}

} // namespace detail

/// What a model can be placed on, as JSON, with the devices of the workers at these addresses.
inline std::string devices(const std::vector<std::string> &workers = {}) {
    auto addresses = detail::list(workers);
    char *json = nullptr;
    detail::check(pixtral_devices_json(addresses.data(), addresses.size(), &json));
    return detail::take(json);
}

/// The version of the library, not of this header.
inline std::string version() { return pixtral_version(); }

/// An opened model. Copies share it.
class Model {
public:
    /// `callback` is used instead of the options'.
    static Model open(std::string_view path, const ModelOptions &options = {},
                      const Callback &callback = {}) {
        detail::Trampoline trampoline{callback};
        pixtral_model_options given = options;
        given.callback = trampoline.function();
        given.user_data = &trampoline;
        pixtral_model *handle = nullptr;
        trampoline.check(pixtral_model_open(path.data(), path.size(), &given, &handle));
        return Model(handle);
    }

    pixtral_model_info info() const {
        pixtral_model_info info;
        info.struct_size = sizeof info;
        detail::check(pixtral_model_get_info(get(), &info));
        return info;
    }

    /// The metadata called `key` as JSON.
    std::optional<std::string> metadata(std::string_view key) const {
        char *json = nullptr;
        auto status = pixtral_model_metadata_json(get(), key.data(), key.size(), &json);
        if (status == PIXTRAL_STATUS_NOT_FOUND) {
            return std::nullopt;
        }
        detail::check(status);
        return detail::take(json);
    }

    /// Where the parts of the model would go in a session, as JSON.
    std::string plan(const SessionOptions &options = {}) const {
        auto devices = detail::list(options.device_names);
        auto given = detail::with_devices(options, devices);
        char *json = nullptr;
        detail::check(pixtral_model_plan_json(get(), &given, &json));
        return detail::take(json);
    }

    const pixtral_model *get() const noexcept { return handle_.get(); }

private:
    explicit Model(pixtral_model *handle) : handle_(handle, pixtral_model_free) {}

    std::shared_ptr<pixtral_model> handle_;
};

/// A picture, prepared for a model. Copies share it.
class Image {
public:
    static Image from_file(const Model &model, std::string_view path,
                           const ImageOptions &options = {}) {
        pixtral_image *handle = nullptr;
        detail::check(pixtral_image_from_file(model.get(), path.data(), path.size(), &options,
                                              &handle));
        return Image(handle);
    }

    /// From the bytes of a picture's file.
    static Image from_memory(const Model &model, const void *data, size_t size,
                             const ImageOptions &options = {}) {
        pixtral_image *handle = nullptr;
        detail::check(pixtral_image_from_memory(model.get(), static_cast<const uint8_t *>(data),
                                                size, &options, &handle));
        return Image(handle);
    }

    /// From `3 * width * height` bytes of red, green and blue.
    static Image from_rgb(const Model &model, uint32_t width, uint32_t height,
                          const std::vector<uint8_t> &pixels, const ImageOptions &options = {}) {
        pixtral_image *handle = nullptr;
        detail::check(pixtral_image_from_rgb(model.get(), width, height, pixels.data(),
                                             pixels.size(), &options, &handle));
        return Image(handle);
    }

    pixtral_image_info info() const {
        pixtral_image_info info;
        info.struct_size = sizeof info;
        detail::check(pixtral_image_get_info(get(), &info));
        return info;
    }

    const pixtral_image *get() const noexcept { return handle_.get(); }

private:
    explicit Image(pixtral_image *handle) : handle_(handle, pixtral_image_free) {}

    std::shared_ptr<pixtral_image> handle_;
};

/// A message of several parts: `Message(PIXTRAL_ROLE_USER).add(image).add("What is this?")`.
class Message {
public:
    explicit Message(pixtral_role role) {
        pixtral_message *handle = nullptr;
        detail::check(pixtral_message_new(role, &handle));
        handle_.reset(handle);
    }

    Message &add(std::string_view text) {
        detail::check(pixtral_message_add_text(get(), text.data(), text.size()));
        return *this;
    }

    Message &add(const Image &image) {
        detail::check(pixtral_message_add_image(get(), image.get()));
        return *this;
    }

    Message &add_tool_call(std::string_view id, std::string_view name,
                           std::string_view arguments) {
        detail::check(pixtral_message_add_tool_call(get(), id.data(), id.size(), name.data(),
                                                    name.size(), arguments.data(),
                                                    arguments.size()));
        return *this;
    }

    Message &set_call_id(std::string_view id) {
        detail::check(pixtral_message_set_call_id(get(), id.data(), id.size()));
        return *this;
    }

    Message &set_prefix() {
        detail::check(pixtral_message_set_prefix(get()));
        return *this;
    }

    pixtral_message *get() const noexcept { return handle_.get(); }

private:
    detail::Handle<pixtral_message, pixtral_message_free> handle_;
};

/// An answer that outlives its session; `details` has the counts and times, its pointers are NULL.
struct Answer {
    std::string text;
    std::vector<uint32_t> tokens;
    pixtral_answer details;
};

/// A conversation.
class Session {
public:
    /// `callback` is used instead of the options'.
    explicit Session(const Model &model, const SessionOptions &options = {},
                     const Callback &callback = {}) {
        detail::Trampoline trampoline{callback};
        auto devices = detail::list(options.device_names);
        auto given = detail::with_devices(options, devices);
        given.callback = trampoline.function();
        given.user_data = &trampoline;
        pixtral_session *handle = nullptr;
        trampoline.check(pixtral_session_new(model.get(), &given, &handle));
        handle_.reset(handle);
    }

    /// Where the parts of the model are, as JSON.
    std::string plan() const {
        char *json = nullptr;
        detail::check(pixtral_session_plan_json(get(), &json));
        return detail::take(json);
    }

    void add(pixtral_role role, std::string_view text) {
        detail::check(pixtral_session_add_text(get(), role, text.data(), text.size()));
    }

    void add(const Message &message) {
        detail::check(pixtral_session_add_message(get(), message.get()));
    }

    void set_tools(std::string_view json) {
        detail::check(pixtral_session_set_tools(get(), json.data(), json.size()));
    }

    size_t message_count() const {
        size_t n = 0;
        detail::check(pixtral_session_message_count(get(), &n));
        return n;
    }

    /// Removes all messages but the first `n_messages`.
    void truncate(size_t n_messages) {
        detail::check(pixtral_session_truncate(get(), n_messages));
    }

    /// Tokens of the conversation as it is.
    size_t count_tokens() const { return count(nullptr); }

    /// Tokens of the conversation if `message` were added.
    size_t count_tokens(const Message &message) const { return count(message.get()); }

    /// What reading the conversation as it is would take.
    pixtral_estimate estimate() { return estimate_with(nullptr); }

    /// What reading the conversation would take if `message` were added.
    pixtral_estimate estimate(const Message &message) { return estimate_with(message.get()); }

    /// The whole answer; `callback` is told of it piece by piece.
    Answer generate(const GenerateOptions &options = {}, const Callback &callback = {}) {
        detail::Trampoline trampoline{callback};
        auto stop = detail::list(options.stop_texts);
        auto given = with_stop(options, stop);
        auto answer = empty_answer();
        trampoline.check(pixtral_session_generate(get(), &given, trampoline.function(),
                                                  &trampoline, &answer));
        return copy(answer);
    }

    /// Begins an answer that `next` gives piece by piece.
    void start(const GenerateOptions &options = {}, const Callback &callback = {}) {
        detail::Trampoline trampoline{callback};
        auto stop = detail::list(options.stop_texts);
        auto given = with_stop(options, stop);
        trampoline.check(
            pixtral_session_start(get(), &given, trampoline.function(), &trampoline));
    }

    /// The next piece, valid until the next call; nothing at the end.
    std::optional<std::string_view> next() {
        const char *text = nullptr;
        size_t len = 0;
        detail::check(pixtral_session_next(get(), &text, &len));
        if (text == nullptr) {
            return std::nullopt;
        }
        return std::string_view(text, len);
    }

    /// Ends the answer, wherever it is.
    Answer end() {
        auto answer = empty_answer();
        detail::check(pixtral_session_end(get(), &answer));
        return copy(answer);
    }

    /// Stops what runs now or, if nothing does, what is called next. Any thread.
    void cancel() const noexcept { pixtral_session_cancel(get()); }

    /// Takes back a cancel that may have come too late.
    void reset_cancel() const noexcept { pixtral_session_reset_cancel(get()); }

    /// Rows of values, one for each patch of `image`.
    std::vector<float> embed(const Model &model, const Image &image,
                             const Callback &callback = {}) {
        auto grid = image.info();
        std::vector<float> values(size_t{grid.n_rows} * grid.n_columns *
                                  model.info().embedding_length);
        detail::Trampoline trampoline{callback};
        trampoline.check(pixtral_session_embed_image(get(), image.get(), trampoline.function(),
                                                     &trampoline, values.data(), values.size()));
        return values;
    }

    void save(std::string_view path) const {
        detail::check(pixtral_session_save(get(), path.data(), path.size()));
    }

    void restore(std::string_view path) {
        detail::check(pixtral_session_restore(get(), path.data(), path.size()));
    }

    pixtral_session *get() const noexcept { return handle_.get(); }

private:
    pixtral_estimate estimate_with(const pixtral_message *message) {
        pixtral_estimate found{};
        found.struct_size = sizeof found;
        detail::check(pixtral_session_estimate(get(), message, &found));
        return found;
    }

    size_t count(const pixtral_message *message) const {
        size_t n = 0;
        detail::check(pixtral_session_count_tokens(get(), message, &n));
        return n;
    }

    static pixtral_generate_options with_stop(const GenerateOptions &options,
                                              const std::vector<pixtral_str> &stop) {
        pixtral_generate_options given = options;
        if (!stop.empty()) {
            given.stop = stop.data();
            given.n_stop = stop.size();
        }
        return given;
    }

    static pixtral_answer empty_answer() {
        pixtral_answer answer{};
        answer.struct_size = sizeof answer;
        return answer;
    }

    static Answer copy(pixtral_answer answer) {
        Answer owned{std::string(answer.text, answer.text_len),
                     std::vector<uint32_t>(answer.tokens, answer.tokens + answer.n_tokens),
                     answer};
        owned.details.text = nullptr;
        owned.details.tokens = nullptr;
        return owned;
    }

    detail::Handle<pixtral_session, pixtral_session_free> handle_;
};

/// How a checkpoint is converted.
struct QuantizeOptions {
    std::string weight_type = "q4_k";
    /// Empty for what suits weight_type.
    std::string vision_type;
    /// "REGEX=TYPE"
    std::vector<std::string> tensor_types;
    /// 0 for one per processor.
    size_t n_threads = 0;
    bool overwrite = false;
    bool resume = true;
};

/// Converts the checkpoint to the file `output` and returns the report as JSON.
inline std::string quantize(std::string_view checkpoint, std::string_view output,
                            const QuantizeOptions &options = {}, const Callback &callback = {}) {
    pixtral_quantize_options given;
    detail::check(pixtral_quantize_options_init(&given, sizeof given));
    auto tensor_types = detail::list(options.tensor_types);
    given.weight_type = options.weight_type.c_str();
    given.vision_type = options.vision_type.empty() ? nullptr : options.vision_type.c_str();
    given.tensor_types = tensor_types.data();
    given.n_tensor_types = tensor_types.size();
    given.n_threads = options.n_threads;
    given.overwrite = options.overwrite;
    given.no_resume = !options.resume;
    detail::Trampoline trampoline{callback};
    char *report = nullptr;
    trampoline.check(pixtral_quantize(checkpoint.data(), checkpoint.size(), output.data(),
                                      output.size(), &given, trampoline.function(), &trampoline,
                                      &report));
    return detail::take(report);
}

} // namespace pixtral

#endif
