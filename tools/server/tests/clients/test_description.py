"""schemathesis: what /openapi.json promises is so."""

import pathlib
import subprocess
import sys

from conftest import KEY

HERE = pathlib.Path(__file__).parent


def test_the_description_is_true(address, request, tmp_path):
    n = request.config.getoption("--examples")
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"{address}/openapi.json",
        "--header", f"Authorization: Bearer {KEY}",
        "--max-examples", str(n),
        "--request-timeout", "60",
        "--seed", "1",
    ]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
