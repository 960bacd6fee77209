/* What the test programs share: checks that name the place, and the usual calls. */
#ifndef CHECK_H
#define CHECK_H

#include <pixtral.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUL PIXTRAL_NUL_TERMINATED

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                    pixtral_last_error());                                                     \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

#define OK(call) CHECK((call) == PIXTRAL_STATUS_OK)

/* The call fails with this status, and the explanation contains the text. */
#define FAILS(call, status, text)                                                              \
    do {                                                                                       \
        CHECK((call) == (status));                                                             \
        CHECK(strstr(pixtral_last_error(), (text)) != NULL);                                   \
    } while (0)

static inline pixtral_model *open_model(const char *path) {
    pixtral_model *model = NULL;
    OK(pixtral_model_open(path, NUL, NULL, &model));
    return model;
}

static inline pixtral_image *open_image(const pixtral_model *model, const char *path) {
    pixtral_image *image = NULL;
    OK(pixtral_image_from_file(model, path, NUL, NULL, &image));
    return image;
}

/* One thread and a small context: many of these run side by side. */
static inline pixtral_session *new_session(const pixtral_model *model) {
    pixtral_session_options options;
    OK(pixtral_session_options_init(&options, sizeof options));
    options.n_ctx = 1024;
    options.n_threads = 1;
    pixtral_session *session = NULL;
    OK(pixtral_session_new(model, &options, &session));
    return session;
}

/* Adds a question about a picture. */
static inline void add_question(pixtral_session *session, const pixtral_image *image,
                                const char *text) {
    pixtral_message *message = NULL;
    OK(pixtral_message_new(PIXTRAL_ROLE_USER, &message));
    OK(pixtral_message_add_image(message, image));
    OK(pixtral_message_add_text(message, text, NUL));
    OK(pixtral_session_add_message(session, message));
    pixtral_message_free(message);
}

/* A copy of the answer's text, which the caller frees. */
static inline char *generate(pixtral_session *session) {
    pixtral_answer answer = {.struct_size = sizeof answer};
    OK(pixtral_session_generate(session, NULL, NULL, NULL, &answer));
    CHECK(answer.finish == PIXTRAL_FINISH_END_OF_TEXT);
    CHECK(strlen(answer.text) == answer.text_len && answer.n_tokens > 0);
    char *copy = malloc(answer.text_len + 1);
    CHECK(copy != NULL);
    return strcpy(copy, answer.text);
}

#endif
