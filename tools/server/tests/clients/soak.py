"""Many streams at once for a while, of which some are left in the middle.

    soak.py PATH-OF-PIXTRAL [--streams 64] [--minutes 5]

Each complete answer must be the one that its question has alone (greedy), memory must stay flat, and the
server must stop cleanly.
"""

import argparse
import asyncio
import base64
import json
import pathlib
import random
import time

import httpx

from serving import running

DEMO = pathlib.Path(__file__).parents[3] / "pixtral" / "demo"
PATH = "/v1/chat/completions"
# Exact arithmetic of keys and values, so that who computes beside an answer cannot change it.
OPTIONS = ["--parallel", "16", "--queue", "256", "--ctx", "512", "--kv-type", "f32", "--threads", "1"]
MEBIBYTE = 1 << 20


def requests(n):
    """Questions of the evaluation set."""
    lines = (DEMO / "eval" / "demo.jsonl").read_text().splitlines()
    questions = [q for q in map(json.loads, lines) if q["kind"] in ("describe", "count", "read", "changed")]
    for question in random.Random(1).sample(questions, n):
        images = [(DEMO / "eval" / path).read_bytes() for path in question["images"]]
        urls = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images]
        content = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        content.append({"type": "text", "text": question["question"]})
        yield {"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 60}


async def alone(client, request):
    answer = (await client.post(PATH, json=request)).raise_for_status().json()
    return answer["choices"][0]["message"]["content"]


async def streamed(client, request, leave_after):
    """The text of a stream; None if it was left after `leave_after` pieces."""
    text = ""
    async with client.stream("POST", PATH, json=request | {"stream": True}) as response:
        response.raise_for_status()
        n = 0
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                n += line.startswith(":")
            elif line == "data: [DONE]":
                return text
            else:
                n += 1
                text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
            if leave_after is not None and n > leave_after:
                return None
    raise AssertionError(f"a stream ended without an end: {text!r}")


class Soak:
    def __init__(self, client, questions, until, seed):
        self.client, self.questions, self.until = client, questions, until
        self.random = random.Random(seed)
        self.n_right = self.n_left = self.n_wrong = 0

    async def user(self):
        while time.monotonic() < self.until:
            request, expected = self.random.choice(self.questions)
            leaves = self.random.random() < 0.4
            text = await streamed(self.client, request, self.random.randrange(12) if leaves else None)
            if text is None:
                self.n_left += 1
            elif text == expected:
                self.n_right += 1
            else:
                self.n_wrong += 1
                print(f"wrong: {text!r}, expected {expected!r}", flush=True)


def resident(process):
    """Bytes of the process's own memory: what of the model's file is mapped comes and goes."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


async def soak(address, process, n_streams, minutes):
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=600, trust_env=False) as client:
        questions = [(request, await alone(client, request)) for request in requests(24)]
        # Once through every context and the cache of pictures, whose memory is taken when it is first used.
        await asyncio.gather(*(alone(client, request) for request, _ in questions * 4))
        began = time.monotonic()
        total = Soak(client, questions, began + minutes * 60, seed=2)
        users = asyncio.gather(*(total.user() for _ in range(n_streams)))
        await asyncio.sleep(minutes * 60 / 3)
        early = resident(process)
        await users
        late = resident(process)
        seconds = time.monotonic() - began
        metrics = (await client.get("/metrics")).text.splitlines()
    running_now = [line for line in metrics if line.startswith(("pixtral_running ", "pixtral_waiting "))]
    print(
        f"{n_streams} streams, {seconds:.0f} s: {total.n_right} right, {total.n_wrong} wrong, {total.n_left} left early; "
        f"memory after a third {early / MEBIBYTE:.1f} MiB, at the end {late / MEBIBYTE:.1f} MiB; {running_now}"
    )
    assert total.n_wrong == 0 and total.n_right > 0 and total.n_left > 0
    assert late - early < max(16 * MEBIBYTE, early // 10), "memory grows"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pixtral", help="the program")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    with running(options.pixtral, *OPTIONS) as (address, process):
        asyncio.run(soak(address, process, options.streams, options.minutes))


if __name__ == "__main__":
    main()
