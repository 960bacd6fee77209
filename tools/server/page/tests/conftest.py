"""The browser, the servers, and what every test of the page checks at its end: nothing was asked of another
host, nothing broke the content security policy, and no script failed."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from acting import started
from stand_in import PATIENCE, StandIn

REPORT_VIOLATIONS = "addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"


def pytest_addoption(parser):
    parser.addoption("--pixtral", help="the program whose `serve` is tested; without it, tests that need it are skipped")


@pytest.fixture(scope="session")
def browser():
    """The Chromium that CHROMIUM names, else one that is installed."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root, as in most containers.
        sandbox = os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def stand_in():
    server = StandIn()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def open_page(browser):
    """Opens the page at an address in a context with the given options; checks at the end what must always hold."""
    contexts, foreign, complaints = [], [], []

    def watch(page, address):
        allowed = (address, "data:", "blob:")
        page.on("request", lambda request: None if request.url.startswith(allowed) else foreign.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # Answers that are errors are logged by the browser itself.
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" and "Failed to load resource" not in m.text else None)

    def open_at(address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        context.add_init_script(REPORT_VIOLATIONS)
        page = context.new_page()
        watch(page, address)
        page.goto(address)
        started(page)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert not foreign, "the page asked another host"
    assert not complaints


@pytest.fixture
def page(open_page, stand_in):
    return open_page(stand_in.address)
