"""What a user does and sees, in the words of the tests."""

from stand_in import DEMO

PICTURE = DEMO / "demo.png"
CHART = DEMO / "chart.png"


def started(page):
    """Waits until the page knows which model is served, or says why not."""
    page.locator("#model:not(:empty), #problem:not([hidden])").first.wait_for()


def add(page, *files):
    shown = page.locator("#tray img")
    before = shown.count()
    page.set_input_files("#files", files)
    shown.nth(before + len(files) - 1).wait_for()


def ask(page, question):
    """Asks without waiting for anything."""
    page.fill("#question", question)
    page.click("#send")


def ask_about(page, question, *files):
    """Asks at the moment at which `files` are chosen, before they can have been read."""
    page.evaluate("document.querySelector('#files').addEventListener('change', () => document.querySelector('#send').click())")
    page.fill("#question", question)
    page.set_input_files("#files", files)


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


def record(page):
    """Remembers all texts from now on, for `shown`: some stay for too short a time to be looked at."""
    page.evaluate(
        """() => {
            window.texts = [];
            const note = ({ target }) => window.texts.push(target.textContent.replaceAll("\\u00a0", " "));
            const observer = new MutationObserver((changes) => changes.forEach(note));
            observer.observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )


def shown(page, text):
    """Waits until `text` has been shown since `record`, be it gone again or not."""
    page.wait_for_function("text => window.texts.some((shown) => shown.includes(text))", arg=text)


def set_field(page, field, text):
    """Fills a field of the settings."""
    page.click("#open-settings")
    page.fill(f"#{field}", text)
    page.keyboard.press("Escape")
