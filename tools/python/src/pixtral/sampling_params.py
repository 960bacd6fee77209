"""How answers are generated, in vLLM's terms."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ._native import filled, lib, str_list
from ._native import text as native_text

__all__ = ["SamplingParams", "StructuredOutputsParams"]


@dataclass
class StructuredOutputsParams:
    """What an answer may be: one of these. Names are vLLM's."""

    #: A JSON schema, as text or an object.
    json: str | Mapping[str, Any] | None = None
    #: A regular expression, matched from beginning to end.
    regex: str | None = None
    #: Texts of which the answer is one.
    choice: Sequence[str] | None = None
    #: A grammar in llguidance's variant of the Lark language.
    grammar: str | None = None
    #: Whether it is any JSON object.
    json_object: bool = False

    def to_native(self) -> tuple[int, str]:
        """The kind of constraint, and the text that describes it."""
        given = []
        if self.json is not None:
            schema = self.json if isinstance(self.json, str) else json.dumps(self.json)
            given.append((lib.PIXTRAL_CONSTRAINT_JSON_SCHEMA, schema))
        if self.regex is not None:
            given.append((lib.PIXTRAL_CONSTRAINT_REGEX, self.regex))
        if self.choice is not None:
            choices = "|".join(f"(?:{re.escape(text)})" for text in self.choice)
            given.append((lib.PIXTRAL_CONSTRAINT_REGEX, choices))
        if self.grammar is not None:
            given.append((lib.PIXTRAL_CONSTRAINT_GRAMMAR, self.grammar))
        if self.json_object:
            given.append((lib.PIXTRAL_CONSTRAINT_JSON_OBJECT, ""))
        if len(given) != 1:
            raise ValueError(f"structured_outputs has {len(given)} constraints, expected one")
        return given[0]


@dataclass
class SamplingParams:
    """How an answer is generated. Names, meanings and defaults are vLLM's."""

    #: Answers to give to each conversation.
    n: int = 1
    #: 0 takes the most likely token each time; more is more varied.
    temperature: float = 1.0
    #: Keeps the fewest most likely tokens whose probabilities add up to this.
    top_p: float = 1.0
    #: Keeps this many most likely tokens; 0 or -1 keeps all.
    top_k: int = 0
    #: Keeps tokens at least this fraction as likely as the most likely one.
    min_p: float = 0.0
    #: Makes tokens that came recently less likely; 1 is off.
    repetition_penalty: float = 1.0
    #: Makes tokens less likely for each time that the answer has them already; 0 is off.
    frequency_penalty: float = 0.0
    #: Makes tokens less likely that the answer has already; 0 is off.
    presence_penalty: float = 0.0
    #: Start of the random sequence; None takes the clock.
    seed: int | None = None
    #: Texts that end the answer and are no part of it.
    stop: str | Sequence[str] | None = None
    #: Most tokens of the answer; None goes on until the model ends it or the context is full.
    max_tokens: int | None = 16
    #: Goes on when the model ends its answer: for measuring.
    ignore_eos: bool = False
    #: What the answer may be; None leaves it to the model.
    structured_outputs: StructuredOutputsParams | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n is {self.n}, expected 1 or more")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}, expected 1 or more, or None")
        if self.top_k < -1:
            raise ValueError(f"top_k is {self.top_k}, expected -1, 0 or more")

    def to_native(self, index: int = 0) -> tuple[Any, list[Any]]:
        """The options of the `index`-th answer, and what has to stay alive with them."""
        options = filled("pixtral_generate_options", lib.pixtral_generate_options_init)
        options.max_tokens = self.max_tokens or 0
        options.temperature = self.temperature
        options.top_p = self.top_p
        options.top_k = max(self.top_k, 0)
        options.min_p = self.min_p
        options.repeat_penalty = self.repetition_penalty
        options.frequency_penalty = self.frequency_penalty
        options.presence_penalty = self.presence_penalty
        options.ignore_eos = self.ignore_eos
        if self.seed is not None:
            options.has_seed = 1
            options.seed = (self.seed + index) % 2**64
        keep: list[Any] = []
        if self.structured_outputs is not None:
            options.constraint_kind, described = self.structured_outputs.to_native()
            options.constraint, options.constraint_len = given = native_text(described)
            keep.extend(given)
        stop = [self.stop] if isinstance(self.stop, str) else list(self.stop or [])
        items, texts = str_list(stop)
        options.stop, options.n_stop = items, len(items)
        return options, [*keep, items, *texts]
