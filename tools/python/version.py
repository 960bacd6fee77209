"""The version of the package: the C library's, as its header says."""

import re
from pathlib import Path

HEADER = Path(__file__).parents[2] / "include" / "pixtral.h"

__version__ = ".".join(
    re.findall(r"#define PIXTRAL_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", HEADER.read_text())
)
