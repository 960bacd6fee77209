"""What a user does and sees, in the words of the tests."""

from stand_in import DEMO

PICTURE = DEMO / "demo.png"
CHART = DEMO / "chart.png"


def add(page, *files):
    shown = page.locator("#tray img")
    before = shown.count()
    page.set_input_files("#files", files)
    shown.nth(before + len(files) - 1).wait_for()


def ask(page, question):
    """Asks without waiting for anything."""
    page.fill("#question", question)
    page.click("#send")


def plain(text):
    """Text without the spaces that keep numbers and units on one line."""
    return text.replace("\xa0", " ")


def answered(page, n=1):
    """The text of answer `n`, once it is complete."""
    page.locator(f".answer:not([aria-busy]) >> nth={n - 1}").wait_for()
    return page.inner_text(f".answer >> nth={n - 1} >> .text").strip()


def readout(page):
    return plain(page.inner_text(".answer:last-child .status span"))


def problem(page):
    """The sentence that says what went wrong."""
    page.wait_for_selector("#problem:not([hidden])")
    return plain(page.inner_text("#problem"))


def cost(page, contains=""):
    page.locator("#cost output", has_text=contains).wait_for()
    return plain(page.inner_text("#cost output"))


def set_field(page, field, text):
    """Fills a field of the settings."""
    page.click("#open-settings")
    page.fill(f"#{field}", text)
    page.keyboard.press("Escape")
