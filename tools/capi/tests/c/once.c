/*
 * once CHECKPOINT SCRATCH-FILE: every kind of handle and every way in which it ends, with as little
 * computing as possible: for tools that slow it down a hundred times.
 */
#include "check.h"

static int32_t stop_at_text(const pixtral_event *event, void *user_data) {
    (void)user_data;
    return event->kind == PIXTRAL_EVENT_KIND_TEXT;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    char path[1024], saved[1024];
    snprintf(path, sizeof path, "%s.gguf", argv[2]);
    snprintf(saved, sizeof saved, "%s.session", argv[2]);
    pixtral_quantize_options conversion;
    OK(pixtral_quantize_options_init(&conversion, sizeof conversion));
    conversion.weight_type = "q8_0";
    conversion.overwrite = 1;
    conversion.n_threads = 1;
    char *report = NULL;
    OK(pixtral_quantize(argv[1], NUL, path, NUL, &conversion, NULL, NULL, &report));
    pixtral_string_free(report);

    pixtral_model *model = open_model(path);
    const uint8_t pixels[3 * 20 * 20] = {255, 0, 128};
    pixtral_image *image = NULL;
    OK(pixtral_image_from_rgb(model, 20, 20, pixels, sizeof pixels, NULL, &image));
    pixtral_session *session = new_session(model);
    add_question(session, image, "What?");

    pixtral_generate_options options;
    OK(pixtral_generate_options_init(&options, sizeof options));
    options.max_tokens = 4;
    options.ignore_eos = 1;
    pixtral_answer answer = {.struct_size = sizeof answer};
    OK(pixtral_session_generate(session, &options, NULL, NULL, &answer));
    CHECK(answer.n_tokens == 4);
    OK(pixtral_session_truncate(session, 1));
    OK(pixtral_session_generate(session, &options, stop_at_text, NULL, &answer));
    OK(pixtral_session_truncate(session, 1));

    /* An answer that is left midway, twice. */
    const char *text;
    size_t len;
    OK(pixtral_session_start(session, &options, NULL, NULL));
    OK(pixtral_session_next(session, &text, &len));
    OK(pixtral_session_start(session, &options, NULL, NULL));
    OK(pixtral_session_next(session, &text, &len));

    OK(pixtral_session_save(session, saved, NUL));
    pixtral_session *restored = new_session(model);
    OK(pixtral_session_restore(restored, saved, NUL));
    pixtral_session_free(restored);
    FAILS(pixtral_session_restore(session, path, NUL), PIXTRAL_STATUS_INVALID_FILE, "session");
    FAILS(pixtral_model_open(saved, NUL, NULL, &(pixtral_model *){NULL}),
          PIXTRAL_STATUS_INVALID_FILE, "GGUF");
    char *json = NULL;
    OK(pixtral_model_metadata_json(model, "general.architecture", NUL, &json));
    pixtral_string_free(json);

    /* In the order in which a careless program would do it. */
    pixtral_model_free(model);
    pixtral_image_free(image);
    pixtral_session_free(session);
    remove(path);
    remove(saved);
    return 0;
}
