"""A server of the demonstration model, and its pictures."""

import base64
import pathlib

import pytest

from serving import serving

DEMO = pathlib.Path(__file__).parents[3] / "pixtral" / "demo"
KEY = "a-key"


def pytest_addoption(parser):
    parser.addoption("--pixtral", required=True, help="the program whose `serve` is tested")
    parser.addoption("--examples", type=int, default=15, help="requests that schemathesis makes up for each operation")


@pytest.fixture(scope="session")
def address(request):
    """Of a server that needs KEY."""
    pixtral = request.config.getoption("--pixtral")
    with serving(pixtral, "--api-key", KEY, "--ctx", "4096", "--allow-images-in", str(DEMO)) as address:
        yield address


@pytest.fixture(scope="session")
def open_address(request):
    """Of a server that needs no key, as the programs that people have expect it."""
    with serving(request.config.getoption("--pixtral"), "--ctx", "4096") as address:
        yield address


@pytest.fixture(scope="session")
def picture():
    """A picture as a data URL: a drawing with the word HELLO and a pink heart."""
    data = base64.b64encode((DEMO / "demo.png").read_bytes()).decode()
    return f"data:image/png;base64,{data}"
