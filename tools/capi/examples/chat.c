/*
 * chat MODEL [SESSION-FILE]: a conversation, read from standard input line by line. "/image PATH" adds
 * a picture to the next question. With a session file the conversation goes on where an earlier run
 * ended, without being read again.
 *
 *     cc chat.c $(pkg-config --cflags --libs pixtral) -o chat
 */
#include <pixtral.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE "/image "

static void explain(const char *what) {
    fprintf(stderr, "%s: %s\n", what, pixtral_last_error());
}

/* Adds the picture `path` to `message`, which is unchanged if that fails. */
static void add_image(const pixtral_model *model, pixtral_message *message, const char *path) {
    pixtral_image *image = NULL;
    if (pixtral_image_from_file(model, path, PIXTRAL_NUL_TERMINATED, NULL, &image) !=
            PIXTRAL_STATUS_OK ||
        pixtral_message_add_image(message, image) != PIXTRAL_STATUS_OK) {
        explain("the picture");
    }
    pixtral_image_free(image);
}

/* Asks `message` and prints the answer, taking it piece by piece. */
static pixtral_status answer(pixtral_session *session, const pixtral_message *message) {
    size_t n_messages = 0, n_tokens = 0;
    pixtral_session_message_count(session, &n_messages);
    pixtral_status status = pixtral_session_count_tokens(session, message, &n_tokens);
    if (status != PIXTRAL_STATUS_OK) {
        return status;
    }
    fprintf(stderr, "(%zu tokens)\n", n_tokens);

    status = pixtral_session_add_message(session, message);
    if (status == PIXTRAL_STATUS_OK) {
        status = pixtral_session_start(session, NULL, NULL, NULL);
    }
    const char *text = "";
    size_t len;
    while (status == PIXTRAL_STATUS_OK && text != NULL) {
        fputs(text, stdout);
        fflush(stdout);
        status = pixtral_session_next(session, &text, &len);
    }
    if (status == PIXTRAL_STATUS_OK) {
        printf("\n");
        return pixtral_session_end(session, NULL);
    }
    /* The question that was not answered is forgotten. */
    pixtral_session_truncate(session, n_messages);
    return status;
}

/* Reads questions to the end of the input. */
static void talk(const pixtral_model *model, pixtral_session *session) {
    pixtral_message *message = NULL;
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (message == NULL && pixtral_message_new(PIXTRAL_ROLE_USER, &message) !=
                                   PIXTRAL_STATUS_OK) {
            explain("the message");
            return;
        }
        if (strncmp(line, IMAGE, strlen(IMAGE)) == 0) {
            add_image(model, message, line + strlen(IMAGE));
            continue;
        }
        if (pixtral_message_add_text(message, line, PIXTRAL_NUL_TERMINATED) !=
                PIXTRAL_STATUS_OK ||
            answer(session, message) != PIXTRAL_STATUS_OK) {
            explain("no answer");
        }
        pixtral_message_free(message);
        message = NULL;
    }
    pixtral_message_free(message);
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: chat MODEL [SESSION-FILE]\n");
        return 2;
    }
    const char *file = argc == 3 ? argv[2] : NULL;
    pixtral_model *model = NULL;
    pixtral_session *session = NULL;
    pixtral_status status = pixtral_model_open(argv[1], PIXTRAL_NUL_TERMINATED, NULL, &model);
    if (status == PIXTRAL_STATUS_OK) {
        status = pixtral_session_new(model, NULL, &session);
    }
    if (status == PIXTRAL_STATUS_OK && file != NULL) {
        status = pixtral_session_restore(session, file, PIXTRAL_NUL_TERMINATED);
        if (status == PIXTRAL_STATUS_NOT_FOUND) {
            status = PIXTRAL_STATUS_OK; /* It will be written. */
        }
    }
    if (status == PIXTRAL_STATUS_OK) {
        talk(model, session);
        if (file != NULL) {
            status = pixtral_session_save(session, file, PIXTRAL_NUL_TERMINATED);
        }
    }
    if (status != PIXTRAL_STATUS_OK) {
        explain("chat");
    }
    pixtral_session_free(session);
    pixtral_model_free(model);
    return status == PIXTRAL_STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
