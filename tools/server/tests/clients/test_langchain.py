"""LangChain's ChatOpenAI."""

from typing import Literal

import pydantic
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from conftest import KEY


@tool
def paint(colour: Literal["red", "blue"]) -> str:
    """Paints the wall."""
    return f"The wall is {colour}."


class Shape(pydantic.BaseModel, extra="forbid"):
    """A shape in a picture."""

    name: str = pydantic.Field(max_length=10)
    colour: str = pydantic.Field(max_length=10)


@pytest.fixture
def model(address):
    return ChatOpenAI(base_url=f"{address}/v1", api_key=KEY, model="demo", temperature=0, max_tokens=3000, max_retries=0)


def question(picture, text):
    return HumanMessage([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": picture}}])


def test_asking_and_streaming(model, picture):
    messages = [question(picture, "What is written?")]
    answer = model.invoke(messages)
    assert "HELLO" in answer.content
    assert answer.usage_metadata["input_tokens"] > 0
    assert "".join(chunk.content for chunk in model.stream(messages)) == answer.content


def test_structured_output(model, picture):
    for method in ["json_schema", "function_calling"]:
        shape = model.with_structured_output(Shape, method=method).invoke([question(picture, "Describe the image.")])
        assert isinstance(shape, Shape)


def test_tools(model):
    bound = model.bind_tools([paint], tool_choice="any", parallel_tool_calls=False)
    messages = [HumanMessage("Paint the wall.")]
    answer = bound.invoke(messages)
    (call, *_) = answer.tool_calls
    assert call["name"] == "paint"
    messages += [answer] + [ToolMessage(paint.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
    assert model.bind_tools([paint]).invoke(messages).content is not None
