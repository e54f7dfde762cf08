"""Try the lowest versions that ``pyproject.toml`` allows: install them and train, write, measure.

    python tests/lowest.py [--torch 2.13.0]

They are installed into an environment that is made for it and gone afterwards. The index decides
which build of torch that brings; on Linux that of PyPI is several gigabytes for GPUs, so that one
wants an index with a CPU's, or ``--torch`` with a version that is there.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("--hidden", "16", "--embedding", "8", "--batch", "4", "--window", "16", "--threads", "1")
# What a user does, in this order; the last ones need what is only imported when it is used.
STEPS = (
    ("train", "song.txt", "--epochs", "2", *SMALL),
    ("train", "--resume", "--epochs", "3"),
    ("generate", "--prefix", "The", "--length", "40", "--seed", "1"),
    ("generate", "--lines", "2", "--rhyme", "AA", "--seed", "1"),
    ("write",),
    ("eval", "perplexity"),
    ("eval", "novelty", "song.txt"),
    ("compare", "song.txt", "--cells", "rnn,gru", "--vary", "hidden=8", "--epochs", "1"),
    ("runs", "export", "song", "song.onnx"),
    ("tune", "song.txt", "--vary", "hidden=8..16", "--minutes", "0.2", "--threads", "1"),
)


def lowest() -> dict[str, str]:
    """Return the lowest version of each package that is needed, three extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["rhyme"] + extras["onnx"] + extras["tune"]
    found = (re.fullmatch(r"([\w-]+)>=([\w.]+)", line) for line in wanted)
    return {match[1]: match[2] for match in found if match}


def main() -> None:
    """Install, run every step, and exit with 1 where one fails or warns."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--torch", help="instead of the lowest version of torch")
    versions = lowest()
    versions["torch"] = parser.parse_args().torch or versions["torch"]
    pins = "".join(f"{name}=={version}\n" for name, version in versions.items())
    print(pins, end="", flush=True)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "lowest.txt").write_text(pins, encoding="utf-8")
        lines = (ROOT / "data" / "lyrics_en.txt").read_text(encoding="utf-8").splitlines()
        (place / "song.txt").write_text("\n".join(lines[:120]) + "\n", encoding="utf-8")
        python = place / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
        asked = f"{ROOT}[rhyme,onnx,tune]"
        install = ("-m", "pip", "install", "-q", "-c", place / "lowest.txt", asked)
        subprocess.run([python, *install], check=True)
        for step in STEPS:
            print("charlstm", *step, flush=True)
            ended = subprocess.run(
                [python, "-m", "charlstm", *step],
                cwd=place,
                input=b"1\nq\n",
                capture_output=True,
                check=False,
            )
            if ended.returncode or b"Warning" in ended.stderr:
                raise SystemExit(ended.stderr.decode())
            print(ended.stdout.decode(), end="", flush=True)
    print("All of it works.")


if __name__ == "__main__":
    main()
