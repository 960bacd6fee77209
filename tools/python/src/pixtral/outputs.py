"""Answers, in vLLM's terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CompletionOutput", "RequestOutput"]


@dataclass
class CompletionOutput:
    """One answer to a conversation."""

    index: int
    text: str
    token_ids: list[int]
    #: "stop" (the model or a stop text ended it), "length" (max_tokens, or the context is full) or
    #: "abort" (it was cancelled).
    finish_reason: str
    #: Tools that the model calls, each with "name" and "arguments"; None if this is an answer.
    tool_calls: list[dict[str, Any]] | None = None


@dataclass
class RequestOutput:
    """The answers to one conversation, and what they took."""

    request_id: str
    outputs: list[CompletionOutput] = field(default_factory=list)
    #: Tokens of the prompt.
    num_prompt_tokens: int = 0
    #: How many of them were known from an earlier conversation and not computed again.
    num_cached_tokens: int = 0
    #: Seconds in the vision tower, in reading the prompt, and in generating.
    encode_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    finished: bool = True
