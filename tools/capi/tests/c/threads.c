/* threads MODEL IMAGE: many sessions of one model on several threads, some of them cancelled. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { N_THREADS = 4, N_SESSIONS = 3 };

static pixtral_model *model;
static pixtral_image *image;
static char *expected;

static void *asks(void *unused) {
    (void)unused;
    for (int i = 0; i < N_SESSIONS; i++) {
        pixtral_session *session = new_session(model);
        add_question(session, image, "Describe the image.");
        char *text = generate(session);
        CHECK(strcmp(text, expected) == 0);
        free(text);
        pixtral_session_free(session);
        /* Errors are the thread's own. */
        FAILS(pixtral_session_cancel(NULL), PIXTRAL_STATUS_INVALID_ARGUMENT, "session is NULL");
    }
    return NULL;
}

static atomic_bool finished;

static void *cancels(void *session) {
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!finished) {
        OK(pixtral_session_cancel(session));
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* An answer without an end ends soon after another thread has cancelled it, once or many times. */
static void cancelled(void) {
    pixtral_session *session = new_session(model);
    add_question(session, image, "Describe the image.");
    pixtral_generate_options options;
    OK(pixtral_generate_options_init(&options, sizeof options));
    options.ignore_eos = 1;
    pthread_t canceller;
    CHECK(pthread_create(&canceller, NULL, cancels, session) == 0);
    pixtral_answer answer = {.struct_size = sizeof answer};
    pixtral_status status = pixtral_session_generate(session, &options, NULL, NULL, &answer);
    finished = true;
    CHECK(pthread_join(canceller, NULL) == 0);
    CHECK(status == PIXTRAL_STATUS_CANCELLED ||
          (status == PIXTRAL_STATUS_OK && answer.finish == PIXTRAL_FINISH_CANCELLED));
    /* The session is as good as before, but for a cancel that came after the end. */
    OK(pixtral_session_reset_cancel(session));
    OK(pixtral_session_truncate(session, 1));
    char *text = generate(session);
    CHECK(strcmp(text, expected) == 0);
    free(text);
    pixtral_session_free(session);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    model = open_model(argv[1]);
    image = open_image(model, argv[2]);
    pixtral_session *session = new_session(model);
    add_question(session, image, "Describe the image.");
    expected = generate(session);
    pixtral_session_free(session);

    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, asks, NULL) == 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    cancelled();
    free(expected);
    pixtral_image_free(image);
    pixtral_model_free(model);
    return 0;
}
