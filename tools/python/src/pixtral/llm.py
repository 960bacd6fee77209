"""A model to talk to, in vLLM's terms."""

from __future__ import annotations

import json
import os
import threading
import weakref
from array import array
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Iterator, Mapping, Sequence, Union, cast

from ._native import Worker, check, ffi, filled, lib, sized, take_text, text
from .images import ImageLike, ImageLoader
from .placement import Placement
from .messages import Conversation, fill
from .outputs import CompletionOutput, RequestOutput
from .sampling_params import SamplingParams

__all__ = ["LLM", "Embedding", "Estimate", "Stream"]

KV_TYPES = {
    "auto": lib.PIXTRAL_KV_TYPE_F16,
    "f16": lib.PIXTRAL_KV_TYPE_F16,
    "q8_0": lib.PIXTRAL_KV_TYPE_Q8_0,
    "f32": lib.PIXTRAL_KV_TYPE_F32,
}
LOAD_MODES = {
    "auto": lib.PIXTRAL_LOAD_MODE_AUTO,
    "mmap": lib.PIXTRAL_LOAD_MODE_MMAP,
    "copy": lib.PIXTRAL_LOAD_MODE_COPY,
}
FINISH_REASONS = {
    lib.PIXTRAL_FINISH_END_OF_TEXT: "stop",
    lib.PIXTRAL_FINISH_STOP_TEXT: "stop",
    lib.PIXTRAL_FINISH_MAX_TOKENS: "length",
    lib.PIXTRAL_FINISH_CONTEXT_FULL: "length",
    lib.PIXTRAL_FINISH_CANCELLED: "abort",
}

Tools = Sequence[Mapping[str, Any]]
Params = Union[SamplingParams, Sequence[SamplingParams], None]


@dataclass
class Embedding:
    """What the decoder sees of a picture: `rows` × `columns` patches of `size` values each."""

    rows: int
    columns: int
    size: int
    #: The values, patch by patch.
    values: array[float]


@dataclass
class Estimate:
    """What reading a conversation would take."""

    #: Tokens known from before, which cost nothing.
    known_tokens: int
    #: Tokens to be read, and how many of them are pictures'.
    tokens: int
    image_tokens: int
    #: Pictures that have to pass through the vision tower.
    images_to_encode: int
    #: Expected seconds in the vision tower, and in reading the prompt.
    encode_seconds: float
    prefill_seconds: float


class LLM:
    """A model and one conversation's state, which conversations that begin alike share.

    One request at a time, from any thread. Ctrl-C ends a request at once, and leaves the model
    as good as before.

    Args:
        model: The GGUF file that `quantize` wrote.
        tokenizer_mode: "auto" or "mistral", which are the same: the tokenizer is in the file.
        max_model_len: Longest conversation in tokens; 8192 unless given.
        limit_mm_per_prompt: `{"image": n}` refuses messages with more pictures.
        kv_cache_dtype: "auto" (f16), "q8_0" (half the memory) or "f32".
        threads: Threads to compute with; None for what suits the model and the machine.
        allow_http: Whether pictures may be fetched from http and https URLs; None for what the
            environment variable PIXTRAL_ALLOW_HTTP says (1 is yes), else no.
        max_image_tokens: Most tokens of a picture, for which it is scaled down further.
        image_cache_dir: Folder that keeps what was computed for pictures for later runs.
        verify: Whether to compare the whole file with its checksums first.
        load_mode: Where weights are read from: "mmap" (the mapped file), "copy" (a copy in memory), or
            "auto" for whichever is faster here.
        devices: Devices beside the CPU, the preferred one first: names that `pixtral.devices` lists,
            "rpc:HOST:PORT" for a worker on another machine; "NAME=SIZE" limits the memory. None for all
            graphics processors of this machine, an empty list for none.
        gpu_layers: How many decoder layers leave the CPU; None for as many as fit.
        tensor_split: In which proportion the devices share these layers.
        vision_device: Device for the vision tower, which may be "cpu".
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        tokenizer_mode: str = "auto",
        max_model_len: int | None = None,
        limit_mm_per_prompt: Mapping[str, int] | None = None,
        kv_cache_dtype: str = "auto",
        threads: int | None = None,
        allow_http: bool | None = None,
        max_image_tokens: int | None = None,
        image_cache_dir: str | os.PathLike[str] | None = None,
        verify: bool = False,
        load_mode: str = "mmap",
        devices: Sequence[str] | None = None,
        gpu_layers: int | None = None,
        tensor_split: Sequence[float] = (),
        vision_device: str | None = None,
    ) -> None:
        if tokenizer_mode not in ("auto", "mistral"):
            raise ValueError(f"tokenizer_mode is {tokenizer_mode!r}, expected auto or mistral")
        for name, value, known in [
            ("kv_cache_dtype", kv_cache_dtype, KV_TYPES),
            ("load_mode", load_mode, LOAD_MODES),
        ]:
            if value not in known:
                raise ValueError(f"{name} is {value!r}, expected one of {list(known)}")
        if allow_http is None:
            allow_http = os.environ.get("PIXTRAL_ALLOW_HTTP") == "1"
        self._model = open_model(os.fspath(model), verify, LOAD_MODES[load_mode])
        self._images = ImageLoader(self._model, allow_http, max_image_tokens)
        self._limit = (limit_mm_per_prompt or {}).get("image")
        options = filled("pixtral_session_options", lib.pixtral_session_options_init)
        options.n_ctx = max_model_len or 0
        options.n_threads = threads or 0
        options.kv_type = KV_TYPES[kv_cache_dtype]
        folder = None
        if image_cache_dir is not None:
            folder, length = text(os.fspath(image_cache_dir))
            options.image_cache_dir, options.image_cache_dir_len = folder, length
        placement = Placement(devices, gpu_layers, tensor_split, vision_device)
        placement.apply(options)
        place = ffi.new("pixtral_session **")
        check(lib.pixtral_session_new(self._model, options, place))
        self._session = ffi.gc(place[0], lib.pixtral_session_free)
        # Weak, so that the model goes with the last reference to this.
        weak = weakref.ref(self)
        self._worker = Worker(lambda: cancel(weak()), lambda: reset_cancel(weak()))
        self._lock = threading.Lock()
        #: Counts answers, so that a stream knows when another request has taken its place.
        self._turns = count(1)
        self._turn = 0
        self._requests = count()

    def chat(
        self,
        messages: Conversation | Sequence[Conversation],
        sampling_params: Params = None,
        *,
        tools: Tools | None = None,
        continue_final_message: bool = False,
    ) -> list[RequestOutput]:
        """Answers one conversation, or each of several.

        A conversation is a list of messages in OpenAI's form. Pictures are parts
        `{"type": "image_url", "image_url": {"url": …}}` with a path, a data URL or, if that is
        allowed, an http(s) URL; or `{"type": "image_pil", "image_pil": …}` with a PIL image.

        Args:
            messages: A conversation, or a list of them.
            sampling_params: How to answer: for all, or one for each conversation.
            tools: Tools that the model may call, in OpenAI's form.
            continue_final_message: Whether to go on with the last message, the assistant's.

        Raises:
            PixtralError: The model cannot answer this.
            ValueError, TypeError: The messages are not of that form.
            OSError: A picture cannot be fetched.
        """
        conversations = as_conversations(messages)
        if sampling_params is None or isinstance(sampling_params, SamplingParams):
            params = [sampling_params or SamplingParams()] * len(conversations)
        else:
            params = list(sampling_params)
        if len(params) != len(conversations):
            raise ValueError(
                f"there are {len(params)} sampling_params for {len(conversations)} conversations"
            )
        outputs = []
        for conversation, chosen in zip(conversations, params):
            output = RequestOutput(str(next(self._requests)))
            for index in range(chosen.n):
                stream = self._start(conversation, chosen, tools, continue_final_message, index)
                stream.finish()
                add_answer(output, stream)
            outputs.append(output)
        return outputs

    def stream(
        self,
        messages: Conversation,
        sampling_params: SamplingParams | None = None,
        *,
        tools: Tools | None = None,
        continue_final_message: bool = False,
    ) -> Stream:
        """Answers one conversation piece by piece: iterate over the result. See `chat`."""
        params = sampling_params or SamplingParams()
        return self._start(messages, params, tools, continue_final_message, 0)

    def count_tokens(self, messages: Conversation, *, tools: Tools | None = None) -> int:
        """The tokens of the prompt that `messages` amount to."""
        with self._lock:
            self._fill(messages, tools, False)
            place = ffi.new("size_t *")
            check(lib.pixtral_session_count_tokens(self._session, ffi.NULL, place))
            return int(place[0])

    def estimate(self, messages: Conversation, *, tools: Tools | None = None) -> Estimate:
        """What reading `messages` would take on this machine, known from before or not.

        The first call measures for about a second. For models on the CPU alone.
        """
        found = sized("pixtral_estimate")

        def call() -> None:
            check(lib.pixtral_session_estimate(self._session, ffi.NULL, found))

        with self._lock:
            self._fill(messages, tools, False)
            self._worker.run(call)
        return Estimate(
            found.n_known_tokens,
            found.n_tokens,
            found.n_image_tokens,
            found.n_images_to_encode,
            found.encode_seconds,
            found.prefill_seconds,
        )

    @property
    def plan(self) -> dict[str, Any]:
        """Which device has which part of the model, and how much memory that takes."""
        place = ffi.new("char **")
        with self._lock:
            check(lib.pixtral_session_plan_json(self._session, place))
        plan: dict[str, Any] = json.loads(take_text(place))
        return plan

    def embed_image(self, image: ImageLike) -> Embedding:
        """What the decoder sees of a picture."""
        handle = self._images.load(image)
        info, model = sized("pixtral_image_info"), sized("pixtral_model_info")
        check(lib.pixtral_image_get_info(handle, info))
        check(lib.pixtral_model_get_info(self._model, model))
        n_values = info.n_rows * info.n_columns * model.embedding_length
        values = array("f", bytes(4 * n_values))
        place = ffi.from_buffer("float[]", values)

        def call() -> None:
            check(
                lib.pixtral_session_embed_image(
                    self._session, handle, ffi.NULL, ffi.NULL, place, n_values
                )
            )

        with self._lock:
            self._worker.run(call)
        return Embedding(info.n_rows, info.n_columns, model.embedding_length, values)

    def metadata(self, key: str) -> Any:
        """The value of the file's metadata called `key`; None if there is none."""
        place = ffi.new("char **")
        status = lib.pixtral_model_metadata_json(self._model, *text(key), place)
        if status == lib.PIXTRAL_STATUS_NOT_FOUND:
            return None
        check(status)
        return json.loads(take_text(place))

    def cancel(self) -> None:
        """Ends the request that runs, from any thread: its finish_reason is "abort".

        If none runs, the next one is stopped as it begins, with a PixtralError.
        """
        check(lib.pixtral_session_cancel(self._session))

    def close(self) -> None:
        """Frees the model's memory now rather than with the last reference."""
        with self._lock:
            self._turn = next(self._turns)
            for handle in (self._session, self._model):
                if handle != ffi.NULL:
                    ffi.release(handle)
            # Whatever is asked of it now is refused by the library.
            self._session = self._model = ffi.NULL
            self._images.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start(
        self,
        messages: Conversation,
        params: SamplingParams,
        tools: Tools | None,
        continue_final: bool,
        index: int,
    ) -> Stream:
        options, keep = params.to_native(index)

        def call() -> None:
            check(lib.pixtral_session_start(self._session, options, ffi.NULL, ffi.NULL))

        with self._lock:
            self._turn = next(self._turns)
            self._fill(messages, tools, continue_final)
            self._worker.run(call)
            del keep
            return Stream(self, self._turn)

    def _fill(self, messages: Conversation, tools: Tools | None, continue_final: bool) -> None:
        if continue_final:
            messages = [*messages[:-1], {**messages[-1], "prefix": True}]
        fill(self._session, messages, self._images, self._limit)
        check(lib.pixtral_session_set_tools(self._session, *text(json.dumps(list(tools or [])))))


class Stream(Iterator[str]):
    """An answer in the making: iterate over its pieces."""

    #: The answer; None until it has ended.
    output: CompletionOutput | None

    def __init__(self, llm: LLM, turn: int) -> None:
        self._llm = llm
        self._turn = turn
        self._text = ffi.new("const char **")
        self._len = ffi.new("size_t *")
        self.output = None
        self._details: Any = None

    def __next__(self) -> str:
        llm = self._llm
        with llm._lock:
            if self.output is not None:
                raise StopIteration
            self._check_turn()
            llm._worker.run(self._next)
            if self._text[0] == ffi.NULL:
                self._end()
                raise StopIteration
            return bytes(ffi.buffer(self._text[0], self._len[0])).decode()

    def finish(self) -> CompletionOutput:
        """The whole answer, generating what is missing of it."""
        llm = self._llm
        with llm._lock:
            if self.output is None:
                self._check_turn()
                llm._worker.run(self._all)
                self._end()
            assert self.output is not None
            return self.output

    def close(self) -> None:
        """Leaves the answer at what there is of it."""
        with self._llm._lock:
            if self.output is None and self._turn == self._llm._turn:
                self._end()

    def _check_turn(self) -> None:
        if self._turn != self._llm._turn:
            raise RuntimeError("another request has begun since: this answer cannot be continued")

    def _next(self) -> None:
        check(lib.pixtral_session_next(self._llm._session, self._text, self._len))

    def _all(self) -> None:
        self._next()
        while self._text[0] != ffi.NULL:
            self._next()

    def _end(self) -> None:
        answer = sized("pixtral_answer")
        check(lib.pixtral_session_end(self._llm._session, answer))
        content = ffi.buffer(answer.text, answer.text_len)
        written = bytes(content).decode()
        self._details = answer
        self.output = CompletionOutput(
            index=0,
            text=written,
            token_ids=ffi.unpack(answer.tokens, answer.n_tokens) if answer.n_tokens else [],
            finish_reason=FINISH_REASONS.get(answer.finish, "stop"),
            tool_calls=json.loads(written) if answer.calls_tools else None,
        )


def cancel(llm: LLM | None) -> None:
    """Ends the request that runs now, if there is still somebody to run one."""
    if llm is not None:
        llm.cancel()


def reset_cancel(llm: LLM | None) -> None:
    """Takes back a cancel that came too late."""
    if llm is not None:
        check(lib.pixtral_session_reset_cancel(llm._session))


def open_model(path: str, verify: bool, load_mode: int) -> Any:
    """The handle of a model, which frees itself."""
    options = filled("pixtral_model_options", lib.pixtral_model_options_init)
    options.verify = verify
    options.load_mode = load_mode
    place = ffi.new("pixtral_model **")
    check(lib.pixtral_model_open(*text(path), options, place))
    return ffi.gc(place[0], lib.pixtral_model_free)


def as_conversations(messages: Conversation | Sequence[Conversation]) -> list[Conversation]:
    """One conversation as a list of one."""
    if messages and isinstance(messages[0], Mapping):
        return [cast(Conversation, messages)]
    return list(cast("Sequence[Conversation]", messages))


def add_answer(output: RequestOutput, stream: Stream) -> None:
    """Adds a finished answer and what it took."""
    answer, details = stream.output, stream._details
    assert answer is not None
    answer.index = len(output.outputs)
    output.outputs.append(answer)
    output.num_prompt_tokens = details.n_prompt_tokens
    output.num_cached_tokens = details.n_reused_tokens
    output.encode_seconds += details.encode_seconds
    output.prefill_seconds += details.prefill_seconds
    output.decode_seconds += details.decode_seconds
