"""Ctrl-C, other threads, and the interpreter's lock."""

import signal
import subprocess
import sys
import threading
import time

from conftest import GREEDY, ask
from pixtral import LLM, SamplingParams

ENDLESS = SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)

SCRIPT = """
import signal, sys
from pixtral import LLM, SamplingParams
# As in a terminal, also where these tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
llm = LLM(model=sys.argv[1], max_model_len=100000, threads=1)
messages = [{"role": "user", "content": "Hello"}]
endless = SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
try:
    print("begins", flush=True)
    if sys.argv[2] == "chat":
        llm.chat(messages, endless)
    else:
        for piece in llm.stream(messages, endless):
            pass
except KeyboardInterrupt:
    answer = llm.chat(messages, SamplingParams(temperature=0, max_tokens=4))
    print("interrupted, then", len(answer[0].outputs[0].token_ids))
"""


def test_ctrl_c_ends_a_request_and_the_model_is_as_good_as_before(model):
    for how in ["chat", "stream"]:
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, model, how], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "begins\n"
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            try:
                output, _ = process.communicate(timeout=120)
            finally:
                process.kill()
        assert process.returncode == 0
        assert output == "interrupted, then 4\n"


def test_another_thread_can_cancel(model, demo):
    llm = LLM(model=model, max_model_len=100000, threads=1)
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    stream = llm.stream(messages, ENDLESS)
    next(stream)
    threading.Timer(0.1, llm.cancel).start()
    assert stream.finish().finish_reason == "abort"
    assert llm.chat(messages, GREEDY)[0].outputs[0].finish_reason == "stop"


def test_other_threads_run_while_the_model_computes(model):
    llm = LLM(model=model, max_model_len=100000, threads=1)
    stream = llm.stream([{"role": "user", "content": "Hello"}], ENDLESS)
    finished = []
    worker = threading.Thread(target=lambda: finished.append(stream.finish()))
    worker.start()
    # One call computes without an end, in which this thread would never get so far.
    for _ in range(1000):
        time.sleep(0)
    assert not finished
    llm.cancel()
    worker.join(timeout=60)
    assert finished[0].finish_reason == "abort"
