"""Converting, the version, and types."""

import subprocess
import sys
from pathlib import Path

import pixtral
import pytest


def test_progress_and_the_report_of_a_conversion(demo, tmp_path):
    told = []
    output = tmp_path / "model.gguf"
    report = pixtral.quantize(
        demo,
        output,
        "q5_0",
        vision_type="f16",
        tensor_types=["^output\\.=q8_0"],
        progress=lambda *event: told.append(event),
    )
    assert report["recipe"] == "q5_0, vision f16, ^output\\.=q8_0"
    assert report["file_bytes"] == output.stat().st_size
    done, total, tensor = told[-1]
    assert done == total > 1_000_000 and tensor == "output.weight"
    with pytest.raises(pixtral.PixtralError, match="model.gguf"):
        pixtral.quantize(demo, output, "q5_0")
    with pytest.raises(pixtral.PixtralError, match="q9"):
        pixtral.quantize(demo, output, "q9")


def test_what_progress_raises_ends_a_conversion_which_is_resumed(demo, tmp_path):
    output = tmp_path / "model.gguf"

    def fail(done, total, tensor):
        if done > total / 2:
            raise LookupError(tensor)

    with pytest.raises(LookupError):
        pixtral.quantize(demo, output, "q8_0", progress=fail)
    assert not output.exists()
    report = pixtral.quantize(demo, output, "q8_0")
    assert report["resumed_tensors"] > 0


def test_the_version_is_the_header_s():
    assert pixtral.__version__.count(".") == 2


def test_types_hold():
    package = Path(pixtral.__file__).parent
    assert (package / "py.typed").exists()
    source = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "src/pixtral"],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
