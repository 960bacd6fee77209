"""Reading and writing Mistral's checkpoint layout."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from model import Config, Pixtral

WEIGHTS, PARAMS, TEKKEN = "consolidated.safetensors", "params.json", "tekken.json"


def save(model: Pixtral, folder: Path) -> None:
    """Writes the weights in bf16."""
    tensors = {name: value.detach().to(torch.bfloat16).cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def load_config(folder: Path) -> Config:
    return Config.from_dict(json.loads((folder / PARAMS).read_text()))


def load(folder: Path) -> Pixtral:
    """The model in f32, with exactly the bf16 values of the file."""
    model = Pixtral(load_config(folder))
    tensors = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    model.load_state_dict(tensors, strict=True)
    return model.eval()
