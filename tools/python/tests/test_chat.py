"""Conversations, pictures of every kind, and what is said of mistakes."""

import base64
import gc
import json
import re
import threading
import weakref
from http.server import BaseHTTPRequestHandler, HTTPServer

import pixtral
import pytest
from conftest import GREEDY, ask
from PIL import Image
from pixtral import LLM, SamplingParams, StructuredOutputsParams

WRITTEN = ("text", "What is written?")


def answer(llm, messages, params=GREEDY, **more):
    return llm.chat(messages, params, **more)[0].outputs[0]


@pytest.fixture(scope="module")
def server(demo):
    """Serves the demonstration's pictures over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = (demo / self.path.lstrip("/")).read_bytes()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_picture_is_the_same_however_it_comes(llm, demo):
    path = demo / "sign.png"
    content = path.read_bytes()
    picture = Image.open(path).convert("RGB")
    transparent = picture.copy()
    transparent.putalpha(255)
    for part in [
        ("image_url", {"url": str(path)}),
        ("image_url", str(path)),
        ("image_url", {"url": path.as_uri()}),
        ("image_url", {"url": "data:image/png;base64," + base64.b64encode(content).decode()}),
        ("image", path),
        ("image", content),
        ("image_pil", picture),
        ("image", transparent),
        ("image", picture.quantize()),
    ]:
        found = answer(llm, ask(part, WRITTEN))
        assert "Garden" in found.text, part
        assert found.finish_reason == "stop"
        assert len(found.token_ids) > 3
        assert found.tool_calls is None


def test_modes_that_png_does_not_have_are_converted(llm, demo):
    picture = Image.open(demo / "sign.png").convert("CMYK")
    assert answer(llm, ask(("image", picture), WRITTEN)).text


def test_the_network_is_used_only_if_that_is_allowed(llm, model, server, monkeypatch):
    messages = ask(("image_url", {"url": f"{server}/sign.png"}), WRITTEN)
    with pytest.raises(PermissionError, match="allow_http=True"):
        llm.chat(messages, GREEDY)
    allowed = LLM(model=model, max_model_len=512, threads=1, allow_http=True)
    assert "Garden" in answer(allowed, messages).text
    monkeypatch.setenv("PIXTRAL_ALLOW_HTTP", "1")
    allowed = LLM(model=model, max_model_len=512, threads=1)
    assert "Garden" in answer(allowed, messages).text
    missing = ask(("image_url", {"url": f"{server}/nowhere.png"}), WRITTEN)
    with pytest.raises(OSError):
        allowed.chat(missing, GREEDY)
    # The mistake is over: the next request is answered.
    assert "Garden" in answer(allowed, messages).text


def test_several_pictures_and_turns(llm, demo):
    pair = [("image", demo / "before.png"), ("image", demo / "after.png")]
    messages = ask(*pair, ("text", "What changed?"))
    first = answer(llm, messages)
    assert first.text == "The orange diamond became a star."
    messages += [
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": "How many shapes are there?"},
    ]
    output = llm.chat(messages, GREEDY)[0]
    assert output.outputs[0].text
    # What was read before is not read again.
    assert output.num_cached_tokens > 0.8 * output.num_prompt_tokens


def test_several_conversations_each_with_its_own_parameters(llm, demo):
    written = ask(("image", demo / "sign.png"), WRITTEN)
    chart = ask(("image", demo / "chart.png"), ("text", "Which bar is highest?"))
    outputs = llm.chat([written, chart, written], GREEDY)
    assert [len(output.outputs) for output in outputs] == [1, 1, 1]
    assert outputs[0].outputs[0].text == outputs[2].outputs[0].text
    assert "C" in outputs[1].outputs[0].text
    assert len({output.request_id for output in outputs}) == 3
    short = SamplingParams(temperature=0, max_tokens=2)
    outputs = llm.chat([written, chart], [short, GREEDY])
    assert outputs[0].outputs[0].finish_reason == "length"
    assert len(outputs[0].outputs[0].token_ids) == 2
    with pytest.raises(ValueError, match="2 sampling_params for 1"):
        llm.chat(written, [short, short])


def test_sampling(llm, demo):
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    whole = answer(llm, messages).text
    stopped = answer(llm, messages, SamplingParams(temperature=0, max_tokens=99, stop=[whole[9:14]]))
    assert stopped.finish_reason == "stop"
    assert whole.startswith(stopped.text) and len(stopped.text) <= 9
    wild = SamplingParams(n=3, temperature=3.0, seed=5, max_tokens=12)
    first, second = (
        [output.text for output in llm.chat(messages, wild)[0].outputs] for _ in range(2)
    )
    assert first == second and len(set(first)) == 3
    repeated = SamplingParams(temperature=0, max_tokens=40, presence_penalty=50.0)
    tokens = answer(llm, messages, repeated).token_ids
    assert len(set(tokens)) == len(tokens)
    for wrong in [{"n": 0}, {"max_tokens": 0}, {"top_k": -2}]:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SamplingParams(**wrong)
    with pytest.raises(pixtral.PixtralError, match="top_p is 2"):
        llm.chat(messages, SamplingParams(top_p=2.0))


@pytest.mark.parametrize(
    ("constraint", "pattern"),
    [
        ({"regex": "[a-c]{3}-[0-9]{2}"}, "[a-c]{3}-[0-9]{2}"),
        ({"choice": ["yes.", "no (never)"]}, r"yes\.|no \(never\)"),
        ({"grammar": 'start: "a" "b"'}, "ab"),
    ],
)
def test_an_answer_keeps_its_constraint(llm, demo, constraint, pattern):
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    params = SamplingParams(
        temperature=0, max_tokens=40, structured_outputs=StructuredOutputsParams(**constraint)
    )
    assert re.fullmatch(pattern, answer(llm, messages, params).text)


def test_an_answer_is_json_of_a_schema(llm, demo):
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    properties = {"colour": {"enum": ["red", "blue"]}, "round": {"type": "boolean"}}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    for given in [schema, json.dumps(schema)]:
        params = SamplingParams(
            temperature=0,
            max_tokens=200,
            structured_outputs=StructuredOutputsParams(json=given),
        )
        found = json.loads(answer(llm, messages, params).text)
        assert found["colour"] in ("red", "blue") and isinstance(found["round"], bool)
    with pytest.raises(ValueError, match="2 constraints"):
        both = StructuredOutputsParams(regex="a", json_object=True)
        llm.chat(messages, SamplingParams(structured_outputs=both))


def test_a_stream_is_the_answer_in_pieces(llm, demo):
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    whole = answer(llm, messages)
    stream = llm.stream(messages, GREEDY)
    pieces = list(stream)
    assert len(pieces) > 5 and "".join(pieces) == whole.text
    assert stream.output == whole
    with pytest.raises(StopIteration):
        next(stream)
    # Left midway, by hand and by another request.
    stream = llm.stream(messages, GREEDY)
    begun = next(stream)
    stream.close()
    assert stream.output.finish_reason == "abort" and stream.output.text.startswith(begun)
    stream = llm.stream(messages, GREEDY)
    next(stream)
    assert answer(llm, messages) == whole
    with pytest.raises(RuntimeError, match="another request"):
        next(stream)


def test_a_beginning_is_continued(llm, demo):
    messages = ask(("image", demo / "sign.png"), WRITTEN)
    messages.append({"role": "assistant", "content": "It says"})
    found = answer(llm, messages, continue_final_message=True)
    assert '"Garden"' in found.text and not found.text.startswith("It says")


def test_tools_are_part_of_the_prompt(llm):
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Now?"}]
    plain = llm.count_tokens(messages)
    declared = llm.count_tokens(messages, tools=[tool])
    call = {"id": "abcdefgh1", "function": {"name": "now", "arguments": {"zone": "CET"}}}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcdefgh1", "content": json.dumps({"hour": 9})},
    ]
    assert plain < declared < llm.count_tokens(messages, tools=[tool])
    with pytest.raises(pixtral.PixtralError, match="tools"):
        llm.chat(messages, tools=[{"type": "retrieval"}])


def test_where_a_model_is_and_what_reading_takes(llm, model, demo):
    assert any(device["kind"] == "cpu" for device in pixtral.devices())
    with pytest.raises(pixtral.PixtralError, match="127.0.0.1:1"):
        pixtral.devices(["127.0.0.1:1"])
    placed = LLM(
        model=model,
        max_model_len=512,
        threads=1,
        load_mode="copy",
        devices=[],
        gpu_layers=3,
        vision_device="cpu",
    )
    assert set(placed.plan["layers"]) == {placed.plan["vision"]} == {"cpu"}
    assert sum(device["layers"] for device in placed.plan["devices"]) == len(placed.plan["layers"])
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    before = placed.estimate(messages)
    assert (before.known_tokens, before.images_to_encode) == (0, 1)
    assert before.tokens == placed.count_tokens(messages) > before.image_tokens > 0
    assert before.encode_seconds > 0 and before.prefill_seconds > 0
    assert answer(placed, messages) == answer(llm, messages)
    after = placed.estimate(messages)
    assert after.images_to_encode == 0 and after.tokens == 1


def test_a_cancel_that_comes_first_stops_the_next_request_and_no_other(model):
    llm = LLM(model=model, max_model_len=512, threads=1)
    messages = [{"role": "user", "content": "Hello"}]
    llm.cancel()
    with pytest.raises(pixtral.PixtralError) as caught:
        llm.chat(messages, GREEDY)
    assert caught.value.kind == "cancelled"
    assert answer(llm, messages).token_ids


def test_embeddings_and_metadata(llm, demo):
    embedding = llm.embed_image(demo / "demo.png")
    assert len(embedding.values) == embedding.rows * embedding.columns * embedding.size
    assert embedding.size == 256 and any(embedding.values)
    assert llm.metadata("general.architecture") == "pixtral"
    assert llm.metadata("nothing") is None


@pytest.mark.parametrize(
    ("messages", "error", "text"),
    [
        ([{"role": "robot", "content": "x"}], ValueError, r"messages\[0\]\.role"),
        (ask(("audio", "x")), ValueError, r"messages\[0\]\.content\[0\]"),
        (ask(("image", 7)), TypeError, r"messages\[0\]\.content\[0\]: a picture is int"),
        (ask(("image_url", "data:,")), pixtral.PixtralError, "picture"),
        (ask(("image_url", "data:;base64,?")), ValueError, "not base64"),
        (ask(("image_url", "nowhere.png")), pixtral.PixtralError, "nowhere.png: no such file"),
        ([{"role": "user", "content": 5}], TypeError, r"messages\[0\]\.content: expected"),
        ([{"role": "assistant", "content": "x"}], pixtral.PixtralError, "assistant"),
        ([{"role": "user", "content": "a" * 99999}], pixtral.PixtralError, "context"),
    ],
)
def test_mistakes_are_explained(llm, messages, error, text):
    with pytest.raises(error, match=text):
        llm.chat(messages, GREEDY)


def test_settings_that_make_no_sense_are_refused(model, demo, tmp_path):
    for wrong in [
        {"tokenizer_mode": "slow"},
        {"kv_cache_dtype": "fp8"},
        {"load_mode": "fast"},
        {"gpu_layers": -3},
    ]:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LLM(model=model, **wrong)
    with pytest.raises(TypeError, match="devices is a string"):
        LLM(model=model, devices="cuda0")
    with pytest.raises(pixtral.PixtralError, match="gpu77"):
        LLM(model=model, devices=["gpu77"])
    with pytest.raises(pixtral.PixtralError, match="no such file") as caught:
        LLM(model=str(tmp_path / "nowhere.gguf"))
    assert caught.value.kind == "not found"
    limited = LLM(model=model, limit_mm_per_prompt={"image": 1}, max_model_len=1024, threads=1)
    pair = [("image", demo / "before.png"), ("image", demo / "after.png")]
    with pytest.raises(ValueError, match="more than 1 pictures"):
        limited.chat(ask(*pair, ("text", "What changed?")), GREEDY)


def test_a_model_can_be_closed_and_small_pictures_asked_for(model, demo):
    messages = ask(("image", demo / "demo.png"), ("text", "Describe the image."))
    with LLM(model=model, threads=1, verify=True) as large:
        n_tokens = large.count_tokens(messages)
    with LLM(model=model, threads=1, max_image_tokens=20, kv_cache_dtype="q8_0") as small:
        assert small.count_tokens(messages) < n_tokens / 2
        assert answer(small, messages).text
    small.close()
    for request in [messages, [{"role": "user", "content": "Hello"}]]:
        with pytest.raises(pixtral.PixtralError, match="is NULL"):
            small.chat(request, GREEDY)


def test_a_model_goes_with_the_last_reference(model):
    llm = LLM(model=model, threads=1)
    llm.chat([{"role": "user", "content": "Hello"}], GREEDY)
    last = weakref.ref(llm)
    gc.disable()
    try:
        del llm
        assert last() is None
    finally:
        gc.enable()
