/* leak: loses a handle, which a tool that looks for leaks must notice. */
#include "check.h"

int main(void) {
    pixtral_message *message = NULL;
    OK(pixtral_message_new(PIXTRAL_ROLE_USER, &message));
    OK(pixtral_message_add_text(message, "lost", NUL));
    OK(pixtral_message_new(PIXTRAL_ROLE_USER, &message));
    pixtral_message_free(message);
    return 0;
}
