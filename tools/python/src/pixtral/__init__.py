"""Run Mistral's Pixtral-12B, the model that reads pictures, on a machine you own.

    from pixtral import LLM, SamplingParams

    llm = LLM(model="pixtral-12b-q4_k.gguf")
    messages = [{
        "role": "user",
        "content": [
            {"type": "text", "text": "Describe the image."},
            {"type": "image_url", "image_url": {"url": "photo.jpg"}},
        ],
    }]
    outputs = llm.chat(messages, sampling_params=SamplingParams(max_tokens=256))
    print(outputs[0].outputs[0].text)

    for piece in llm.stream(messages):
        print(piece, end="", flush=True)

The names are those of vLLM, messages those of OpenAI's requests.
"""

from ._native import PixtralError, __version__
from .llm import LLM, Embedding, Estimate, Stream
from .outputs import CompletionOutput, RequestOutput
from .placement import devices
from .quantizing import quantize
from .sampling_params import SamplingParams, StructuredOutputsParams

__all__ = [
    "LLM",
    "CompletionOutput",
    "Embedding",
    "Estimate",
    "PixtralError",
    "RequestOutput",
    "SamplingParams",
    "Stream",
    "StructuredOutputsParams",
    "__version__",
    "devices",
    "quantize",
]
