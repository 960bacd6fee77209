"""The page as it is used: served by `pixtral serve`, with the demonstration model answering."""

import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

from acting import PICTURE, add, answered, ask, cost, problem, readout, set_field
from stand_in import PATIENCE

ENDLESS = '{"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}, "minItems": 900}}, "required": ["n"]}'


@contextlib.contextmanager
def serving(pixtral, *options):
    """The address of a server of the demonstration model, once it answers."""
    if not pixtral:
        pytest.skip("needs --pixtral PATH")
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([pixtral, "serve", "--port", "0", *options], stdout=log, stderr=log)
        try:
            until = time.monotonic() + PATIENCE
            while True:
                # The server's own place in the file, where it writes, is left alone.
                said = os.pread(log.fileno(), 1 << 16, 0).decode()
                address = re.search(r"listening at (\S+) ", said)
                if address and healthy(address[1]):
                    break
                if server.poll() is not None or time.monotonic() > until:
                    raise AssertionError(f"pixtral serve does not answer: {said}")
                time.sleep(0.1)
            yield address[1]
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)


def healthy(address):
    try:
        with urllib.request.urlopen(address + "health", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def served(request):
    with serving(request.config.getoption("--pixtral")) as address:
        yield address


@pytest.fixture
def page(open_page, served):
    """The page, with a temperature at which the same question has the same answer."""
    page = open_page(served)
    set_field(page, "temperature", "0")
    return page


def tokens_read(page):
    return int(re.match(r"([\d,]+) tokens read", readout(page))[1].replace(",", ""))


def test_questions_about_a_picture_are_answered_rightly(page):
    add(page, PICTURE)
    ask(page, "What colour is the heart?")
    assert "pink" in answered(page).lower()
    first = tokens_read(page)
    ask(page, "What is written?")
    assert "hello" in answered(page, 2).lower()
    assert tokens_read(page) > first and "known before" in readout(page)


def test_the_examples_are_served_and_work(page):
    page.click(".example >> nth=1")
    assert "C" in answered(page)


def test_a_budget_costs_what_it_says(page):
    add(page, PICTURE)
    full = int(re.search(r"(\d+) tokens", cost(page, "tokens"))[1])
    assert full == 12 * 17, "256 × 192 pixels are 16 × 12 patches, and one token ends each row"
    page.locator("#budget").press("Home")
    small = int(re.search(r"(\d+) tokens", cost(page, " 64 a picture · "))[1])
    assert small <= 64
    ask(page, "What colour is the heart?")
    answered(page)
    read = tokens_read(page)
    page.click("#new")
    add(page, PICTURE)
    page.locator("#budget").press("End")
    ask(page, "What colour is the heart?")
    answered(page)
    assert tokens_read(page) - read == full - small


def test_answers_keep_to_the_schema(page):
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "pink"]}}, "required": ["colour"], "additionalProperties": False}
    set_field(page, "schema", json.dumps(schema))
    add(page, PICTURE)
    ask(page, "What colour is the heart?")
    assert json.loads(answered(page))["colour"] in {"red", "pink"}


def test_a_long_answer_can_be_stopped_and_the_next_one_comes(page):
    set_field(page, "schema", ENDLESS)
    ask(page, "Count.")
    page.locator(".answer .text", has_text="[").wait_for()
    page.keyboard.press("Escape")
    assert not answered(page).endswith("}")
    page.click("#new")
    set_field(page, "schema", "")
    add(page, PICTURE)
    ask(page, "What colour is the heart?")
    assert "pink" in answered(page).lower()


def test_what_the_server_refuses_is_said_in_its_words(page):
    ask(page, "word " * 50_000)
    assert "context" in problem(page)
    assert page.input_value("#question").startswith("word word")


def test_a_server_with_keys_shows_the_page_and_asks_for_one(open_page, request):
    with serving(request.config.getoption("--pixtral"), "--api-key", "open sesame") as address:
        page = open_page(address)
        assert problem(page) == "This server asks for an API key. Give it in Settings."
        page.fill("#key", "open sesame")
        page.keyboard.press("Enter")
        page.locator("#model:not(:empty)").wait_for()
        page.click(".example >> nth=1")
        assert "C" in answered(page)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address + "v1/models")


def test_the_page_comes_with_a_strict_policy(served):
    with urllib.request.urlopen(served) as reply:
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src" in policy and "unsafe" not in policy and "*" not in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
