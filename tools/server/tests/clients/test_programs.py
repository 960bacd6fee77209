"""curl as the model's card has it, and the way in which mistral-evals asks."""

import json
import subprocess

import httpx


def test_curl_as_in_the_card_of_the_model(open_address, picture):
    request = {
        "model": "mistralai/Pixtral-12B-2409",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is written?"},
                    {"type": "image_url", "image_url": {"url": picture}},
                ],
            }
        ],
    }
    command = [
        "curl", "--silent", "--fail", "--noproxy", "*",
        "--location", f"{open_address}/v1/chat/completions",
        "--header", "Content-Type: application/json",
        "--header", "Authorization: Bearer token",
        "--data", json.dumps(request),
    ]  # fmt: skip
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["message"]["content"]


def test_mistral_evals(open_address, picture):
    client = httpx.Client(base_url=open_address, timeout=60, trust_env=False)
    health = client.get("/health")
    assert (health.status_code, health.content) == (200, b"")
    request = {
        "model": "mistralai/Pixtral-12B-2409",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "text", "text": "What is written?"},
                ],
            }
        ],
        "temperature": 0.0,
        "max_tokens": 64,
    }
    answer = client.post("/v1/chat/completions", json=request).raise_for_status().json()
    assert "HELLO" in answer["choices"][0]["message"]["content"]
