"""Runs the checkpoint through Hugging Face transformers in f32 and compares its greedy answers with another runtime's.

    python compare_transformers.py ../pixtral/demo ../pixtral/demo/eval/demo.jsonl --with answers.jsonl

Prompts and pixels come from mistral_common, so nothing of this folder's own
model, template or preprocessing takes part.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration, MistralConfig, PixtralVisionConfig

import checkpoint
from evaluation_set import Example, read_examples
from model import Config
from scoring import print_table, read_answers, write_answers

LONGEST_ANSWER = 96
BOS, EOS, PAD = 1, 2, 11

TEXT_NAMES = {
    "attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj", "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}
VISION_NAMES = {
    "attention.wq": "attention.q_proj", "attention.wk": "attention.k_proj", "attention.wv": "attention.v_proj",
    "attention.wo": "attention.o_proj", "feed_forward.w1": "feed_forward.gate_proj", "feed_forward.w2": "feed_forward.down_proj",
    "feed_forward.w3": "feed_forward.up_proj", "attention_norm": "attention_norm", "ffn_norm": "ffn_norm",
}
OTHER_NAMES = {
    "tok_embeddings.weight": "model.language_model.embed_tokens.weight", "norm.weight": "model.language_model.norm.weight",
    "output.weight": "lm_head.weight",
    "vision_encoder.patch_conv.weight": "model.vision_tower.patch_conv.weight",
    "vision_encoder.ln_pre.weight": "model.vision_tower.ln_pre.weight",
    **{f"vision_language_adapter.{ours}.{part}": f"model.multi_modal_projector.{theirs}.{part}"
       for ours, theirs in (("w_in", "linear_1"), ("w_out", "linear_2")) for part in ("weight", "bias")},
}


def halves(weight: Tensor, head_dim: int) -> Tensor:
    """Rows of q or k from neighbouring rotary pairs (Mistral) to pairs half a head apart (Hugging Face)."""
    rows, columns = weight.shape
    return weight.view(rows // head_dim, head_dim // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def renamed(tensors: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
    vision = config.vision_encoder
    result = {}
    for name, value in tensors.items():
        value = value.float()
        if name in OTHER_NAMES:
            result[OTHER_NAMES[name]] = value
            continue
        in_tower = name.startswith("vision_encoder.")
        _, layer = name.split("layers.")
        number, part = layer.removesuffix(".weight").split(".", 1)
        if part in ("attention.wq", "attention.wk"):
            value = halves(value, vision.hidden_size // vision.num_attention_heads if in_tower else config.head_dim)
        prefix = "model.vision_tower.transformer" if in_tower else "model.language_model"
        result[f"{prefix}.layers.{number}.{(VISION_NAMES if in_tower else TEXT_NAMES)[part]}.weight"] = value
    return result


def load(folder: Path) -> LlavaForConditionalGeneration:
    c = checkpoint.load_config(folder)
    v = c.vision_encoder
    text = MistralConfig(
        vocab_size=c.vocab_size, hidden_size=c.dim, intermediate_size=c.hidden_dim, num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads, num_key_value_heads=c.n_kv_heads, head_dim=c.head_dim, rms_norm_eps=c.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta}, sliding_window=None, tie_word_embeddings=False,
        max_position_embeddings=131072, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    vision = PixtralVisionConfig(
        hidden_size=v.hidden_size, intermediate_size=v.intermediate_size, num_hidden_layers=v.num_hidden_layers,
        num_attention_heads=v.num_attention_heads, image_size=v.image_size, patch_size=v.patch_size, hidden_act="silu",
        rope_parameters={"rope_type": "default", "rope_theta": v.rope_theta})
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=v.image_token_id, projector_hidden_act="gelu",
        vision_feature_layer=-1, vision_feature_select_strategy="full", multimodal_projector_bias=v.adapter_bias,
        tie_word_embeddings=False)
    model = LlavaForConditionalGeneration(config)
    model.load_state_dict(renamed(load_file(folder / checkpoint.WEIGHTS), c), strict=True)
    return model.float().eval()


def padded(images: list[np.ndarray]) -> dict[str, Tensor]:
    """Images of different sizes as transformers takes them: one batch with zeros at the right and below, and the sizes."""
    if not images:
        return {}
    sizes = torch.tensor([image.shape[1:] for image in images])
    height, width = sizes.amax(0).tolist()
    batch = torch.zeros(len(images), 3, height, width)
    for row, image in zip(batch, images):
        row[:, :image.shape[1], :image.shape[2]] = torch.from_numpy(image)
    return {"pixel_values": batch, "image_sizes": sizes}


@torch.no_grad()
def converse(model: LlavaForConditionalGeneration, tokenizer: MistralTokenizer, example: Example) -> list[str]:
    messages, answers = [], []
    images = [ImageChunk(image=picture) for picture in example.pictures()]
    for question, _ in example.turns:
        content = [*images, TextChunk(text=question)] if not messages else [TextChunk(text=question)]
        messages.append(UserMessage(content=content))
        prompt = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages))
        ids = torch.tensor([prompt.tokens])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **padded(prompt.images), do_sample=False,
                             max_new_tokens=LONGEST_ANSWER, pad_token_id=PAD)
        new = [i for i in out[0, ids.shape[1]:].tolist() if i != EOS]
        answers.append(tokenizer.decode(new))
        messages.append(AssistantMessage(content=answers[-1]))
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--with", dest="others", type=Path, action="append", default=[], help="answers to compare with")
    parser.add_argument("--answers", type=Path, help="write the answers of transformers here")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small for threads to pay on a busy machine
    model = load(options.checkpoint)
    tokenizer = MistralTokenizer.from_file(str(options.checkpoint / checkpoint.TEKKEN))
    examples = read_examples(options.dataset)
    answers = {example.id: converse(model, tokenizer, example) for example in examples}
    print_table(examples, answers)
    if options.answers:
        write_answers(options.answers, answers)
    differences = 0
    for path in options.others:
        other = read_answers(path)
        for name, turns in answers.items():
            if other.get(name) != turns:
                differences += 1
                print(f"{path}: {name}: transformers {turns}, there {other.get(name)}")
        print(f"{path}: {sum(other.get(name) == turns for name, turns in answers.items())} of {len(answers)} answers are the same")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
