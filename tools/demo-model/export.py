"""Writes the files of a checkpoint that are not trained: params.json and the truncated tekken.json.

Run before training, which adds the weights to the same folder.
"""

import argparse
import json
from pathlib import Path

import mistral_common

from checkpoint import PARAMS, TEKKEN
from model import Config
from vocabulary import truncated_tekken

SOURCE = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    config = Config()
    (folder / PARAMS).write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    tekken = truncated_tekken(SOURCE, config.vision_encoder.image_size, config.vision_encoder.patch_size)
    (folder / TEKKEN).write_text(json.dumps(tekken))


if __name__ == "__main__":
    main()
