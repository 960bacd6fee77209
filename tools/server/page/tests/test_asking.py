"""Pictures in, answers out: the road that works."""

import base64
import json
import re
import threading

import pytest

from acting import CHART, PICTURE, add, answered, ask, ask_about, readout, record, set_field, shown, started
from stand_in import PATIENCE, answer


def parts(stand_in, turn=-1):
    return stand_in.requests[-1]["messages"][turn]["content"]


def test_a_picture_is_shown_sent_and_answered(page, stand_in):
    stand_in.replies.append(answer("A ", "red ", "circle.", prompt=304, cached=272))
    add(page, PICTURE)
    ask(page, "Describe the image.")
    assert answered(page) == "A red circle."
    image, text = parts(stand_in)
    assert base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,")) == PICTURE.read_bytes()
    assert text == {"type": "text", "text": "Describe the image."}
    assert stand_in.requests[-1]["stream_options"] == {"include_usage": True}
    assert page.locator(".question img").count() == 1
    assert page.locator("#tray").is_hidden() and page.input_value("#question") == ""


def test_the_readout_says_tokens_and_time(page, stand_in):
    seen = threading.Event()  # Tokens that came all at once would have no rate.
    stand_in.replies.append(answer("word ", seen, *["word "] * 10, prompt=1304, cached=272))
    ask(page, "Count.")
    page.locator(".answer .text", has_text="word").wait_for()
    seen.set()
    answered(page)
    said = readout(page)
    assert re.match(r"1,304 tokens read \(272 known before\) · first token after [\d.]+ s · ", said)
    assert re.search(r" · 11 tokens at [\d.,]+ a second$", said)


def test_the_rate_is_the_servers_where_it_tells(page, stand_in):
    stand_in.replies.append(answer(*["word "] * 11, timings={"encode_ms": 0, "prefill_ms": 20, "decode_ms": 500}))
    ask(page, "Count.")
    answered(page)
    assert readout(page).endswith("11 tokens at 20.0 a second")


def test_the_next_turn_brings_what_was_said(page, stand_in):
    stand_in.replies += [answer("Pink."), answer("Star.")]
    add(page, PICTURE)
    ask(page, "What colour is the heart?")
    answered(page)
    ask(page, "What else is there?")
    assert answered(page, 2) == "Star."
    roles = [message["role"] for message in stand_in.requests[-1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert parts(stand_in, 0) == stand_in.requests[0]["messages"][0]["content"]
    assert parts(stand_in, 1) == "Pink." and parts(stand_in, 2) == "What else is there?"


def test_an_answer_is_shown_as_it_comes(page, stand_in):
    seen = threading.Event()
    stand_in.replies.append(answer("First ", seen, "second ", "third."))
    ask(page, "Slowly, please.")
    page.locator(".answer[aria-busy] .text", has_text="First").wait_for()
    seen.set()
    assert answered(page) == "First second third."


@pytest.mark.parametrize(
    "comment, shown", [("reading 512/4160", "Reading 512 of 4,160 tokens"), ("encoding 3/8", "Looking at the pictures, 37 %")]
)
def test_progress_of_reading_is_shown(page, stand_in, comment, shown):
    seen = threading.Event()

    def reply(reply):
        reply.stream()
        reply.send(f": {comment}\n\n")
        seen.wait(PATIENCE)
        answer("Done.")(reply)

    stand_in.replies.append(reply)
    ask(page, "Read.")
    page.locator(".answer .status", has_text=shown).wait_for()
    seen.set()
    assert answered(page) == "Done."


def test_stop_ends_the_request_and_keeps_what_came(page, stand_in):
    n = PATIENCE * 20
    stand_in.replies += [answer(*["word "] * n, pause=0.05), answer("Yes.")]
    ask(page, "Go on for ever.")
    page.locator(".answer .text", has_text="word word").wait_for()
    page.click("#stop")
    kept = answered(page)
    assert kept.startswith("word word") and len(kept.split()) < n
    assert page.inner_text(".answer .cut") == "Stopped."
    assert stand_in.closed_early.wait(PATIENCE), "the connection stayed open"
    ask(page, "Was that all?")
    answered(page, 2)
    assert parts(stand_in, 1).strip() == kept.strip()


def test_stop_before_the_first_word_gives_the_question_back(page, stand_in):
    stand_in.replies.append(answer(threading.Event(), "late"))
    add(page, PICTURE)
    ask(page, "Anything?")
    page.click("#stop")
    page.wait_for_selector("#empty:not([hidden])")
    assert page.input_value("#question") == "Anything?"
    assert page.locator("#tray img").count() == 1 and page.locator("#problem").is_hidden()


def test_asking_again_replaces_the_last_answer(page, stand_in):
    stand_in.replies += [answer("One."), answer("Two.")]
    add(page, PICTURE)
    ask(page, "Which?")
    answered(page)
    page.click(".again")
    page.locator(".answer .text", has_text="Two.").wait_for()
    assert stand_in.requests[0] == stand_in.requests[1]
    assert page.locator(".answer").count() == page.locator(".question").count() == 1


def test_a_question_waits_for_its_pictures(page, stand_in):
    stand_in.replies.append(answer("A circle."))
    ask_about(page, "What is it?", PICTURE, CHART)
    answered(page)
    assert [part["type"] for part in parts(stand_in)] == ["image_url", "image_url", "text"]
    assert page.locator("#tray").is_hidden()


def test_a_new_conversation_forgets_the_old_one(page, stand_in):
    stand_in.replies += [answer("one ", threading.Event(), "two"), answer("Fresh.")]
    add(page, PICTURE)
    ask(page, "Old question")
    page.locator(".answer .text", has_text="one").wait_for()
    page.click("#new")
    assert page.locator("#transcript li").count() == 0 and page.locator("#empty").is_visible()
    ask(page, "New question")
    assert answered(page) == "Fresh."
    assert stand_in.requests[-1]["messages"] == [{"role": "user", "content": "New question"}]


def test_an_example_is_asked_at_a_click(page, stand_in):
    stand_in.replies.append(answer("C"))
    page.click(".example >> nth=1")
    assert answered(page) == "C"
    image, text = parts(stand_in)
    assert base64.b64decode(image["image_url"]["url"].split(",")[1]) == CHART.read_bytes()
    assert text["text"] == "Which bar is highest?"


def test_an_example_is_asked_once_at_two_clicks(page, stand_in):
    stand_in.replies.append(answer("C"))
    page.locator(".example >> nth=1").evaluate("(example) => { example.click(); example.click(); }")
    assert answered(page) == "C"
    assert len(parts(stand_in)) == 2 and page.locator("#tray").is_hidden() and page.input_value("#question") == ""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_can_be_dropped_and_pasted(page, stand_in, way):
    data = base64.b64encode(PICTURE.read_bytes()).decode()
    page.evaluate(
        """([way, data]) => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            const transfer = new DataTransfer();
            for (const name of ["a.png", "b.png"]) transfer.items.add(new File([bytes], name, { type: "image/png" }));
            const options = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
            if (way === "paste") return document.querySelector("#question").dispatchEvent(new ClipboardEvent("paste", options));
            for (const kind of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, options));
        }""",
        [way, data],
    )
    page.locator("#tray img >> nth=1").wait_for()
    assert page.locator("#drop").is_hidden()
    page.click("[aria-label='Remove a.png']")
    assert [image.get_attribute("alt") for image in page.locator("#tray img").all()] == ["b.png, 256 × 192"]


def test_dragging_shows_where_to_drop(page):
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["x"], "a.png", { type: "image/png" }));
            document.body.dispatchEvent(new DragEvent("dragover", { bubbles: true, cancelable: true, dataTransfer }));
        }"""
    )
    assert page.locator("#drop").is_visible()


def test_a_schema_is_sent_and_its_answer_is_laid_out(page, stand_in):
    stand_in.replies.append(answer('{"colours":', '["red"]}'))
    page.click("#open-settings")
    page.click("#schema-example")
    page.keyboard.press("Escape")
    assert page.inner_text("#active") == "JSON schema"
    ask(page, "Which colours?")
    assert answered(page) == json.dumps({"colours": ["red"]}, indent=2)
    form = stand_in.requests[-1]["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["required"] == ["description", "colours"]


def test_settings_are_sent_and_remembered(page, stand_in):
    stand_in.replies += [answer("Arr."), answer("Arr.", finish="length")]
    page.click("#open-settings")
    page.fill("#system", "You are a pirate.")
    page.fill("#temperature", "0.333")
    page.fill("#max-tokens", "7")
    page.keyboard.press("Escape")
    page.reload()
    started(page)
    ask(page, "Who are you?")
    answered(page)
    request = stand_in.requests[-1]
    assert request["messages"][0] == {"role": "system", "content": "You are a pirate."}
    assert (request["temperature"], request["max_tokens"], request["model"]) == (0.333, 7, "stand-in")
    ask(page, "And?")
    answered(page, 2)
    assert page.inner_text(".cut") == "Cut short at 7 tokens, the limit in Settings."


def test_what_is_not_set_is_not_sent(page, stand_in):
    stand_in.replies.append(answer("Yes."))
    set_field(page, "temperature", "")
    ask(page, "Plain?")
    answered(page)
    assert set(stand_in.requests[-1]) == {"model", "messages", "stream", "stream_options"}


def test_copy_gives_the_text_as_the_model_wrote_it(open_page, stand_in):
    page = open_page(stand_in.address, permissions=["clipboard-read", "clipboard-write"])
    stand_in.replies.append(answer("**Bold** and `code`"))
    ask(page, "Write.")
    assert answered(page) == "Bold and code"
    record(page)
    page.click("text=Copy")
    shown(page, "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "**Bold** and `code`"
