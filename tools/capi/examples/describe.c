/*
 * describe MODEL IMAGE [QUESTION]: asks about a picture and shows the answer as it comes. Ctrl-C
 * cancels at once, also while the picture is encoded.
 *
 *     cc describe.c $(pkg-config --cflags --libs pixtral) -o describe
 */
#define _POSIX_C_SOURCE 200809L
#include <pixtral.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Frees what there is and ends the program: the sentence says what to do. */
static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, pixtral_last_error());
    return EXIT_FAILURE;
}

/* Waits for Ctrl-C in a thread of its own, where everything is allowed. */
static void *cancel_on_interrupt(void *session) {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    int signal;
    while (sigwait(&interrupt, &signal) == 0) {
        pixtral_session_cancel(session);
    }
    return NULL;
}

static int32_t show(const pixtral_event *event, void *user_data) {
    (void)user_data;
    switch (event->kind) {
        case PIXTRAL_EVENT_KIND_ENCODING:
            fprintf(stderr, "\rlooking: %d %%", (int)(100 * event->done / event->total));
            break;
        case PIXTRAL_EVENT_KIND_READING:
            fprintf(stderr, "\rreading: %d %%", (int)(100 * event->done / event->total));
            if (event->done == event->total) {
                fputc('\n', stderr);
            }
            break;
        case PIXTRAL_EVENT_KIND_TEXT:
            fputs(event->text, stdout);
            fflush(stdout);
            break;
    }
    return 0;
}

static int ask(pixtral_session *session, const pixtral_image *image, const char *question) {
    pixtral_message *message = NULL;
    if (pixtral_message_new(PIXTRAL_ROLE_USER, &message) != PIXTRAL_STATUS_OK ||
        pixtral_message_add_image(message, image) != PIXTRAL_STATUS_OK ||
        pixtral_message_add_text(message, question, PIXTRAL_NUL_TERMINATED) != PIXTRAL_STATUS_OK ||
        pixtral_session_add_message(session, message) != PIXTRAL_STATUS_OK) {
        pixtral_message_free(message);
        return fail("the question");
    }
    pixtral_message_free(message);

    pixtral_generate_options options;
    pixtral_generate_options_init(&options, sizeof options);
    options.max_tokens = 1024;
    pixtral_answer answer = {.struct_size = sizeof answer};
    if (pixtral_session_generate(session, &options, show, NULL, &answer) != PIXTRAL_STATUS_OK) {
        return fail("the answer");
    }
    printf("\n");
    fprintf(stderr, "%zu tokens read in %.2f s, %zu generated in %.2f s\n",
            answer.n_prompt_tokens - answer.n_reused_tokens,
            answer.encode_seconds + answer.prefill_seconds, answer.n_tokens,
            answer.decode_seconds);
    return answer.finish == PIXTRAL_FINISH_CANCELLED ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: describe MODEL IMAGE [QUESTION]\n");
        return 2;
    }
    /* Before any other thread exists: all inherit it, so that the signal waits for sigwait. */
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, NULL);

    pixtral_model *model = NULL;
    pixtral_image *image = NULL;
    pixtral_session *session = NULL;
    int result;
    if (pixtral_model_open(argv[1], PIXTRAL_NUL_TERMINATED, NULL, &model) != PIXTRAL_STATUS_OK) {
        result = fail("the model");
    } else if (pixtral_image_from_file(model, argv[2], PIXTRAL_NUL_TERMINATED, NULL, &image) !=
               PIXTRAL_STATUS_OK) {
        result = fail("the picture");
    } else if (pixtral_session_new(model, NULL, &session) != PIXTRAL_STATUS_OK) {
        result = fail("the session");
    } else {
        pthread_t waiter;
        pthread_create(&waiter, NULL, cancel_on_interrupt, session);
        result = ask(session, image, argc == 4 ? argv[3] : "Describe the image.");
        pthread_cancel(waiter);
        pthread_join(waiter, NULL);
    }
    /* In any order: a session keeps what it needs. NULL is nothing. */
    pixtral_model_free(model);
    pixtral_image_free(image);
    pixtral_session_free(session);
    return result;
}
