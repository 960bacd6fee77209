"""Programs of the shape that Pixtral's model card shows for vLLM run with another import, another
model, and leave to fetch pictures."""

import functools
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

SIMPLE = """
from pixtral import LLM
from pixtral.sampling_params import SamplingParams

model_name = "{model}"

sampling_params = SamplingParams(max_tokens=8192)

llm = LLM(model=model_name, tokenizer_mode="mistral")

prompt = "Describe this image in one sentence."
image_url = "{server}/demo.png"

messages = [
    {{
        "role": "user",
        "content": [
            {{"type": "text", "text": prompt}},
            {{"type": "image_url", "image_url": {{"url": image_url}}}},
        ],
    }},
]

outputs = llm.chat(messages, sampling_params=sampling_params)

print(outputs[0].outputs[0].text)
"""

ADVANCED = """
from pixtral import LLM
from pixtral.sampling_params import SamplingParams

model_name = "{model}"
max_img_per_msg = 5

sampling_params = SamplingParams(max_tokens=8192, temperature=0.7)

llm = LLM(
    model=model_name,
    tokenizer_mode="mistral",
    limit_mm_per_prompt={{"image": max_img_per_msg}},
    max_model_len=32768,
)

prompt = "Describe the following image."

messages = [
    {{
        "role": "user",
        "content": [
            {{"type": "text", "text": prompt}},
            {{"type": "image_url", "image_url": {{"url": "{server}/before.png"}}}},
            {{"type": "image_url", "image_url": {{"url": "{server}/after.png"}}}},
        ],
    }},
    {{
        "role": "assistant",
        "content": "The images show shapes.",
    }},
    {{
        "role": "user",
        "content": "More details please and answer only in French!.",
    }},
    {{
        "role": "user",
        "content": [{{"type": "image_url", "image_url": {{"url": "{server}/sign.png"}}}}],
    }},
]

outputs = llm.chat(messages=messages, sampling_params=sampling_params)
print(outputs[0].outputs[0].text)
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("example", [SIMPLE, ADVANCED])
def test_an_example_prints_an_answer(example, model, demo):
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(demo))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script = example.format(model=model, server=f"http://127.0.0.1:{server.server_port}")
    environment = {**os.environ, "PIXTRAL_ALLOW_HTTP": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    server.shutdown()
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.strip()) > 3
    assert run.stderr == ""
