"""What pictures cost, and what becomes of those that cannot go as they are."""

import base64
import json

import pytest

from acting import CHART, PICTURE, add, answered, ask, ask_about, cost, plain, problem
from png import noise, turned
from stand_in import answer


def image_urls(request):
    contents = [message["content"] for message in request["messages"] if isinstance(message["content"], list)]
    return [part["image_url"] for content in contents for part in content if part["type"] == "image_url"]


def file(name, kind, data):
    return {"name": name, "mimeType": kind, "buffer": data}


def stored(path):
    return file(path.name, "image/png", path.read_bytes())


def test_the_slider_says_what_pictures_cost(page, stand_in):
    assert page.locator("#cost").is_hidden()
    add(page, PICTURE)
    assert cost(page, "tokens") == "full · 192 tokens · about 10 s"
    page.locator("#budget").press("Home")
    assert cost(page, "tokens") == "at most 64 a picture · 64 tokens · about 3 s"
    add(page, CHART)
    assert cost(page, "128 tokens") == "at most 64 a picture · 128 tokens · about 6 s"
    assert plain(page.get_attribute("#budget", "aria-valuetext")) == cost(page)


def test_the_budget_holds_for_the_conversation(page, stand_in):
    stand_in.replies += [answer("One."), answer("Two."), answer("Three.")]
    add(page, PICTURE)
    page.locator("#budget").press("Home")
    ask(page, "First")
    answered(page)
    assert stand_in.requests[-1]["max_image_tokens"] == 64
    assert cost(page) == "at most 64 a picture", "the picture is known at this budget and costs nothing"
    page.locator("#budget").press("ArrowRight")
    assert cost(page, "tokens") == "at most 128 a picture · 128 tokens · about 6 s", "it would be read again"
    page.locator("#budget").press("ArrowLeft")
    add(page, CHART)
    assert cost(page, "tokens") == "at most 64 a picture · 64 tokens · about 3 s"
    page.locator("#budget").press("End")
    assert cost(page, "tokens").startswith("full · 372 tokens")
    ask(page, "Second")
    answered(page, 2)
    assert "max_image_tokens" not in stand_in.requests[-1] and len(image_urls(stand_in.requests[-1])) == 2
    page.click("#new")
    assert page.locator("#cost").is_hidden()


def test_only_budgets_that_matter_are_offered(open_page, stand_in):
    stand_in.largest = 272
    page = open_page(stand_in.address)
    add(page, PICTURE)
    shown = []
    page.locator("#budget").press("Home")
    for _ in range(4):
        shown.append(cost(page, "tokens").split(" · ")[0])
        page.locator("#budget").press("ArrowRight")
    assert shown == ["at most 64 a picture", "at most 128 a picture", "at most 256 a picture", "full"]


def test_without_estimates_the_slider_still_works(page, stand_in):
    stand_in.estimates = False
    stand_in.replies.append(answer("Yes."))
    add(page, PICTURE)
    page.locator("#budget").press("Home")
    page.locator("#budget").press("ArrowRight")
    assert cost(page) == "at most 128 a picture"
    ask(page, "Well?")
    answered(page)
    assert stand_in.requests[-1]["max_image_tokens"] == 128


def test_a_file_that_is_no_picture_is_refused_by_name(page):
    page.set_input_files("#files", [file("notes.png", "image/png", b"not a picture"), stored(CHART)])
    assert problem(page).startswith("notes.png is not a picture that this browser can read.")
    assert page.locator("#tray img").count() == 1


def test_a_question_whose_picture_is_none_is_not_sent(page, stand_in):
    ask_about(page, "What is it?", file("notes.png", "image/png", b"not a picture"))
    assert problem(page).startswith("notes.png is not a picture")
    assert page.input_value("#question") == "What is it?" and stand_in.requests == []


def test_a_photo_that_lies_on_its_side_is_sent_upright(page, stand_in):
    stand_in.replies.append(answer("Upright."))
    drawn = page.evaluate("Object.assign(document.createElement('canvas'), { width: 64, height: 16 }).toDataURL('image/jpeg')")
    jpeg = base64.b64decode(drawn.split(",")[1])
    page.set_input_files("#files", [file("plain.jpg", "image/jpeg", jpeg), file("turned.jpg", "image/jpeg", turned(jpeg))])
    page.locator("#tray img >> nth=1").wait_for()
    ask(page, "Which way is up?")
    answered(page)
    plain, upright = (url["url"] for url in image_urls(stand_in.requests[-1]))
    assert plain == drawn, "a photo that is upright goes as it is"
    stored = """async (url) => {
        const blob = new Blob([Uint8Array.from(atob(url.split(",")[1]), c => c.charCodeAt(0))], { type: "image/jpeg" });
        const { width, height } = await createImageBitmap(blob, { imageOrientation: "none" });
        return [width, height];
    }"""
    assert page.evaluate(stored, upright) == [16, 64]


def test_formats_that_only_the_browser_knows_are_sent_as_jpeg(page, stand_in):
    stand_in.replies.append(answer("A square."))
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="20" height="20" fill="red"/></svg>'
    add(page, file("drawing.svg", "image/svg+xml", drawing))
    ask(page, "What is it?")
    answered(page)
    assert image_urls(stand_in.requests[-1])[0]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("limit, smaller", [(400_000, False), (120_000, True)])
def test_pictures_become_smaller_only_if_the_server_takes_no_more(open_page, stand_in, limit, smaller):
    stand_in.max_body_bytes = limit
    stand_in.replies.append(answer("Noise."))
    page = open_page(stand_in.address)
    picture = noise(240, 240)
    add(page, file("noise.png", "image/png", picture), stored(CHART))
    ask(page, "What is it?")
    answered(page)
    request = stand_in.requests[-1]
    assert len(json.dumps(request)) <= limit
    large, small = (base64.b64decode(url["url"].split(",")[1]) for url in image_urls(request))
    assert (large != picture) == smaller and small == CHART.read_bytes()
    if smaller:
        assert problem(page) == "A picture was made smaller: the server takes 0.1 MB at once."
