"""What the page says when something goes wrong, and that nothing the user wrote is lost."""

import threading

import pytest

from acting import PICTURE, add, answered, ask, problem, record, set_field, shown
from stand_in import PATIENCE, answer, broken_off, refusal


@pytest.mark.parametrize(
    "status, message, shown",
    [
        (400, "image 1: 20000 x 20000 pixels are more than 178956970", "image 1: 20000 x 20000 pixels are more than 178956970"),
        (413, "body too large", "The pictures are more than the server takes at once. Remove some, or use smaller ones."),
        (503, "the server is shutting down", "the server is shutting down"),
    ],
)
def test_a_refusal_is_shown_and_the_question_is_back(page, stand_in, status, message, shown):
    stand_in.replies += [refusal(status, message), answer("Now it works.")]
    add(page, PICTURE)
    ask(page, "What is it?")
    assert problem(page) == shown
    assert page.input_value("#question") == "What is it?" and page.locator("#tray img").count() == 1
    assert page.locator("#transcript li").count() == 0
    page.click("#send")
    assert answered(page) == "Now it works."
    assert page.locator("#problem").is_hidden() and len(stand_in.requests[-1]["messages"]) == 1


def test_an_empty_answer_does_not_become_a_turn(page, stand_in):
    stand_in.replies.append(answer())
    ask(page, "Say nothing.")
    assert problem(page) == "The model had nothing to say. Ask in another way."
    assert page.input_value("#question") == "Say nothing." and page.locator("#transcript li").count() == 0


def test_an_error_without_words_still_says_something(page, stand_in):
    def reply(reply):
        reply.send_error(502)

    stand_in.replies.append(reply)
    ask(page, "Hello?")
    assert problem(page) == "The server answered with status 502 and no explanation."


def test_a_busy_server_is_asked_again_when_it_says(page, stand_in):
    stand_in.replies += [refusal(429, "busy", Retry_After=1), answer("At last.")]
    record(page)
    ask(page, "Are you there?")
    shown(page, "The server is busy, trying again in 1.0 s")
    assert answered(page) == "At last."


def test_waiting_for_a_busy_server_can_be_stopped(page, stand_in):
    stand_in.replies.append(refusal(429, "busy", Retry_After=30))
    ask(page, "Are you there?")
    page.locator(".answer .status", has_text="busy").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector("#empty:not([hidden])")
    assert page.input_value("#question") == "Are you there?"


def test_stop_is_heard_while_a_refusal_arrives(page, stand_in):
    def reply(reply):
        reply.send_response(503)
        reply.send_header("Content-Length", "2")
        reply.end_headers()
        threading.Event().wait(PATIENCE)

    stand_in.replies.append(reply)
    with page.expect_response("**/v1/chat/completions"):
        ask(page, "Are you there?")
    page.click("#stop")
    page.wait_for_selector("#empty:not([hidden])")
    assert page.input_value("#question") == "Are you there?" and page.locator("#problem").is_hidden()


def test_a_server_that_is_gone_is_missed_and_found_again(page, stand_in):
    stand_in.stop()
    ask(page, "Hello?")
    assert problem(page) == "The server does not answer. Is pixtral serve still running?"
    assert page.input_value("#question") == "Hello?"
    stand_in.start()
    page.wait_for_selector("#problem", state="hidden")
    stand_in.replies.append(answer("Hello."))
    page.click("#send")
    assert answered(page) == "Hello."


def test_an_answer_that_breaks_off_is_kept_and_said_to_be_incomplete(page, stand_in):
    stand_in.replies.append(broken_off("Half an "))
    ask(page, "Well?")
    assert answered(page) == "Half an"
    broken = "The connection to the server broke before the answer was complete."
    assert page.inner_text(".cut") == broken
    assert page.text_content("#live") == f"{broken} Half an "
    assert page.locator("#problem").is_hidden()


def test_an_error_in_mid_stream_is_shown_below_what_came(page, stand_in):
    def reply(reply):
        broken_off("Half an ")(reply)
        reply.send('data: {"error": {"message": "the disk with the model is gone"}}\n\n')

    stand_in.replies.append(reply)
    ask(page, "Well?")
    assert answered(page) == "Half an"
    assert page.inner_text(".cut") == "the disk with the model is gone"


def test_a_key_is_asked_for_and_forgotten_with_the_tab(open_page, stand_in):
    stand_in.key = "secret"
    page = open_page(stand_in.address)
    assert problem(page) == "This server asks for an API key. Give it in Settings."
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.locator("#problem", has_text="does not accept").wait_for()
    page.fill("#key", "secret")
    page.keyboard.press("Enter")
    page.locator("#model", has_text="stand-in").wait_for()
    assert page.locator("#problem").is_hidden() and page.locator("#settings").is_hidden()
    stand_in.replies.append(answer("Yes."))
    ask(page, "Do I come in?")
    answered(page)
    assert stand_in.keys == ["Bearer secret"]
    assert page.evaluate("JSON.stringify({ ...localStorage })").find("secret") == -1
    assert page.evaluate("sessionStorage['pixtral.key']") == "secret"


@pytest.mark.parametrize("text, complaint", [("{", "The schema is not JSON"), ("[1]", "The schema must be a JSON object")])
def test_a_schema_that_is_none_is_not_sent(page, stand_in, text, complaint):
    set_field(page, "schema", text)
    ask(page, "Which colours?")
    assert problem(page).startswith(complaint)
    assert page.evaluate("document.activeElement.id") == "schema"
    assert page.get_attribute("#schema", "aria-invalid") == "true"
    assert page.inner_text("#schema-note").startswith(complaint)
    assert stand_in.requests == []
    page.fill("#schema", "{}")
    assert page.get_attribute("#schema", "aria-invalid") is None
    page.keyboard.press("Escape")
    assert page.input_value("#question") == "Which colours?"


def test_a_temperature_out_of_range_is_not_sent(page, stand_in):
    set_field(page, "temperature", "3")
    ask(page, "How warm?")
    assert problem(page) == "The temperature must be between 0 and 2."
    assert stand_in.requests == []
