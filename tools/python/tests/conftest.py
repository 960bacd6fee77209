"""The demonstration model, converted once, and its pictures."""

from pathlib import Path

import pixtral
import pytest

DEMO = Path(__file__).parents[2] / "pixtral" / "demo"

#: Takes the most likely token each time, so that answers can be compared.
GREEDY = pixtral.SamplingParams(temperature=0, max_tokens=128)


@pytest.fixture(scope="session")
def demo():
    return DEMO


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "demo.gguf"
    report = pixtral.quantize(DEMO, path, "q8_0")
    assert report["recipe"] == "q8_0"
    return str(path)


@pytest.fixture(scope="session")
def llm(model):
    return pixtral.LLM(model=model, max_model_len=2048, threads=1)


def ask(*parts):
    """A conversation of one question, of texts and pictures."""
    content = [
        {"type": "text", "text": part} if kind == "text" else {"type": kind, kind: part}
        for kind, part in parts
    ]
    return [{"role": "user", "content": content}]
