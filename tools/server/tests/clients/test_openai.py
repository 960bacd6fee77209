"""The `openai` package, unchanged."""

import json
from typing import Literal

import openai
import pydantic
import pytest

from conftest import KEY


@pytest.fixture
def client(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0)


def about(picture, question):
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": question},
                {"type": "image_url", "image_url": {"url": picture, "detail": "high"}},
            ],
        }
    ]


def test_chat_about_a_picture(client, picture):
    answer = client.chat.completions.create(model="demo", messages=about(picture, "What is written?"), temperature=0)
    assert "HELLO" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_with_usage(client, picture):
    messages = about(picture, "What is written?")
    whole = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model="demo", messages=messages, temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens > 0


def test_a_conversation(client, picture):
    messages = about(picture, "What is the largest shape?")
    for question in ["What is written?", "What colour is the heart?"]:
        answer = client.chat.completions.create(model="demo", messages=messages, temperature=0)
        messages += [answer.choices[0].message, {"role": "user", "content": question}]
    answer = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    assert "pink" in answer.choices[0].message.content


def test_parse_gives_an_object_of_the_class(client, picture):
    class Drawing(pydantic.BaseModel):
        n_shapes: int = pydantic.Field(ge=0, le=20)
        colours: list[Literal["red", "blue", "pink"]] = pydantic.Field(max_length=3)
        is_large: bool

    answer = client.chat.completions.parse(
        model="demo", messages=about(picture, "Describe the image."), response_format=Drawing, temperature=0, max_tokens=3000
    )
    assert isinstance(answer.choices[0].message.parsed, Drawing)


def test_tools_are_called_and_their_results_read(client):
    class Weather(pydantic.BaseModel):
        """The weather of a place."""

        place: str = pydantic.Field(max_length=12)
        days: int = pydantic.Field(ge=1, le=9)

    tool = openai.pydantic_function_tool(Weather)
    messages = [{"role": "user", "content": "What is the weather?"}]
    settings = dict(model="demo", tools=[tool], temperature=0, max_tokens=200, parallel_tool_calls=False)
    choice = {"type": "function", "function": {"name": "Weather"}}
    answer = client.chat.completions.parse(messages=messages, tool_choice=choice, **settings)
    call = answer.choices[0].message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, Weather)
    messages += [
        answer.choices[0].message.model_dump(include={"role", "content", "tool_calls"}),
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sunny": True})},
    ]
    answer = client.chat.completions.create(messages=messages, **settings)
    assert answer.choices[0].message.content is not None

    with client.chat.completions.stream(messages=messages[:1], tool_choice=choice, **settings) as stream:
        stream.until_done()
        streamed = stream.get_final_completion()
    assert streamed.choices[0].message.tool_calls[0].function.arguments == call.function.arguments


def test_logprobs_stop_and_several_answers(client):
    answer = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        n=2,
        seed=1,
        max_tokens=8,
        stop=["."],
        logprobs=True,
        top_logprobs=2,
        presence_penalty=0.5,
        frequency_penalty=0.5,
    )
    assert len(answer.choices) == 2
    for choice in answer.choices:
        assert "." not in choice.message.content
        assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)


def test_completions_and_models(client):
    answer = client.completions.create(model="demo", prompt="There are", max_tokens=4, temperature=0)
    assert answer.choices[0].text
    model = client.models.list().data[0]
    assert client.models.retrieve(model.id) == model


def test_errors_are_the_package_s_own(client, address, picture):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "a"}], temperature=7)
    assert refused.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="demo", messages=about("data:image/png;base64,AAAA", "What?"))
    assert refused.value.code == "invalid_image"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")
    stranger = openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
