"""overhead.py MODEL [REPETITIONS]: what the package costs: microseconds of a call that does nothing much,
made as those for each piece of a stream are, and of a token, streamed and in one call.

The counterpart of tools/capi/tests/c/overhead.c, which measures the same in C. Minima: a machine that
others share only ever adds.
"""

import sys
import time

from pixtral import LLM, SamplingParams
from pixtral._native import check, ffi, lib

N_CALLS = 2000
N_TOKENS = 200
PARAMS = SamplingParams(temperature=0, max_tokens=N_TOKENS, ignore_eos=True)
MESSAGES = [{"role": "user", "content": "Hello"}]


def call(llm: LLM) -> float:
    """Seconds of a call in the worker's thread, for which this one waits."""
    place = ffi.new("size_t *")
    start = time.perf_counter()
    for _ in range(N_CALLS):
        llm._worker.run(lambda: check(lib.pixtral_session_message_count(llm._session, place)))
    return (time.perf_counter() - start) / N_CALLS


def token(llm: LLM, streamed: bool) -> float:
    """Seconds of a token."""
    stream = llm.stream(MESSAGES, PARAMS)
    start = time.perf_counter()
    if streamed:
        for _ in stream:
            pass
    stream.finish()
    return (time.perf_counter() - start) / N_TOKENS


def main() -> None:
    llm = LLM(model=sys.argv[1], threads=1, max_model_len=1024)
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    print(f"a call: {1e6 * min(call(llm) for _ in range(repetitions)):.2f} us")
    for name, streamed in [("streamed", True), ("in one call", False)]:
        least = min(token(llm, streamed) for _ in range(repetitions))
        print(f"a token {name}: {1e6 * least:.2f} us")


main()
