"""Run directories with something wrong in them, taken through everything that reads one.

    python -m tests.faults.fuzz_runs --cases 10000 --seed 0

Small honest runs are trained. Each case changes a copy of one (its bytes, its values, what kind of
thing a file is) and opens it, writes with it, measures it and resumes it. Each of these either
works or is refused with one sentence, within ten seconds and a gigabyte. A case is known by the
seed and its number alone, and ``--only NUMBER`` runs it again.
"""

import bz2
import contextlib
import copy
import functools
import json
import math
import os
import random
import shutil
import socket
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import charlstm
from charlstm.errors import RunError
from charlstm.runs.directory import RunDirectory

from .cases import SECONDS, Outcome, arguments_of, report

# A path in it may have 4,096.
LONGEST_SENTENCE = 5_000

TENSORS = ("model.safetensors", "resume.safetensors", "recall.safetensors")
DRAFT = ("draft.txt", "draft.json")
FILES = ("run.json", "heldout.txt", "training.txt.bz2", "history.jsonl", *DRAFT, *TENSORS)
STEPS = 3
# Of the draft of a song.
SETTINGS: dict[str, Any] = {
    **{"temperature": 0.8, "max_copy": 0, "line_length": "2-9", "acrostic": "我"},
    **{"acrostic_end": "", "rhyme": "", "must": ["我"]},
}
_DEEP = "a place that is put very deep"

Json = Any
Random = random.Random


# Honest runs.


def text(random: Random) -> str:
    """Return some lines to learn."""
    words = ("分开", "我", "在", "车站", "等你", "不分开", "la la", "é", "雨停了", "😀")
    lines = (" ".join(random.choices(words, k=random.randint(1, 6))) for _ in range(120))
    return "\n".join(lines) + "\n"


def train(root: Path, runs: int = 4) -> list[Path]:
    """Train so many honest runs, each of another kind; return their directories."""
    song = root / "song.txt"
    song.write_text(text(Random(0)), encoding="utf-8")
    common: dict[str, Any] = {
        **{"root": root / "checkpoints", "steps": STEPS, "batch": 4, "window": 8, "threads": 1},
        **{"backend": "scratch", "precision": "float32", "prefixes": ["分开"], "hidden": 5},
    }
    settings: list[dict[str, Any]] = [
        {"cell": "lstm", "embedding": 0, "optimizer": "adam", "weight_decay": 0.0},
        {"cell": "gru", "embedding": 3, "layers": 2, "dropout": 0.1, "backend": "torch"},
        {"cell": "peephole", "optimizer": "sgd", "sampling": "random", "newline": "space"},
        {"cell": "rnn", "validation": 0.0, "min_count": 20, "minutes": 60.0, "index": False},
    ]
    trained = [charlstm.train(song, **common | each).directory.path for each in settings[:runs]]
    for run in trained:
        (run / "draft.txt").write_text("分开 我在车站\n\nla la é\n", encoding="utf-8")
        (run / "draft.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    return trained


# Changes. Each takes a generator, the run's directory and those of all honest runs.


def odd_value(random: Random, around: Json) -> Json:
    """Return something that might stand in a JSON file in the place of `around`."""
    numbers: list[Json] = [
        0,
        1,
        -1,
        2,
        3,
        255,
        65_536,
        2**31,
        2**53,
        2**53 + 1,
        2**64,
        10**400,
        -(10**400),
    ]
    numbers += [0.0, -0.0, 0.5, 1.5, 1e18, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf]
    words = ["", "a", "\0", "\n", "a\nerror: b", "\x1b[31m", "\x9b", "\u2028", "\ud800", "\udcff"]
    words += ["[bold]", "[/x]", "{}", "%s", "..", "../..", "/", "/dev/zero", "/dev/stdin", "-", "*"]
    words += ["lstm", "gru", "peephole", "coupled", "rnn", "sgd", "adam", "adamw", "torch", "auto"]
    words += ["scratch", "bfloat16", "random", "constant", "space", "utf-8", "gb18030", "hex"]
    words += ["utf-7", "idna", "分" * 9, "x" * 100_000, "\U0010ffff", "0" * 64]
    others: list[Json] = [None, True, False, [], [[]], [None], {}, {"": 0}, [{}] * 3, _DEEP]
    value = random.choice([random.choice(numbers), random.choice(words), random.choice(others)])
    if type(around) in (int, float) and random.random() < 0.4:
        return random.choice([around + 1, around - 1, -around, around * 2, around / 2, str(around)])
    if isinstance(around, str) and random.random() < 0.2:
        return random.choice([around + "\n", around[:-1], around * 2, around.upper(), [around]])
    return value


def places(value: Json) -> Iterator[tuple[Any, Any]]:
    """Yield every container inside `value`, with a key of it."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def change(random: Random, value: Json) -> str:
    """Change one place inside a JSON value; return what was done."""
    found = list(places(value))
    # As often near the top as in the long lists.
    names = [(held, key) for held, key in found if isinstance(held, dict)]
    held, key = random.choice(names if names and random.random() < 0.8 else found)
    does = random.choice(["set", "set", "set", "set", "remove", "add", "swap"])
    if does == "set":
        held[key] = odd_value(random, held[key])
    elif does == "remove":
        del held[key]
    elif does == "add" and isinstance(held, dict):
        held[random.choice(["more", "", "\0", "__proto__", "格式"])] = odd_value(random, None)
    elif does == "add":
        held.insert(random.randrange(len(held) + 1), odd_value(random, None))
    else:
        other, name = random.choice(found)
        held[key] = copy.deepcopy(other[name])
    return does


def written(value: Json) -> bytes:
    """Return JSON with what is not strict JSON, too."""
    deep = "[" * 100_000 + "]" * 100_000
    return json.dumps(value).replace(json.dumps(_DEEP), deep).encode()


def flip(random: Random, run: Path, _: list[Path]) -> None:
    """Change some bytes of a file, most often near its beginning."""
    path = run / random.choice(FILES)
    data = bytearray(path.read_bytes() if path.exists() else b"")
    near = random.choice([len(data), 64, 600])
    for _time in range(random.randint(1, 12)):
        if data:
            data[random.randrange(min(near, len(data)))] = random.randrange(256)
    path.write_bytes(data)


def cut(random: Random, run: Path, _: list[Path]) -> None:
    """Cut a file, or let it go on."""
    path = run / random.choice(FILES)
    data = path.read_bytes() if path.exists() else b""
    rest = data[: random.randrange(len(data) + 1)]
    path.write_bytes(random.choice([rest, rest, b"", data + b"\0", data + data, data[1:]]))


def replace(random: Random, run: Path, honest: list[Path]) -> None:
    """Put something else in the place of a file: nothing, or what is no file at all."""
    path = run / random.choice(FILES)
    path.unlink(missing_ok=True)
    does = random.randrange(10)
    if does == 1:
        path.mkdir()
    elif does == 2:
        os.mkfifo(path)
    elif does == 3:
        path.symlink_to("/dev/zero")
    elif does == 4:
        path.symlink_to(path.name)
    elif does == 5:
        path.symlink_to("nowhere")
    elif does == 6:
        path.symlink_to("/dev/full" if random.random() < 0.5 else "/proc/self/mem")
    elif does == 7:
        with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(run):
            listener.bind(path.name)
    elif does == 8:
        path.symlink_to(random.choice(honest) / path.name)
    elif does == 9:
        path.write_bytes(random.randbytes(random.choice([1, 7, 8, 9, 1000])))


def swap(random: Random, run: Path, honest: list[Path]) -> None:
    """Let a file be another one of this run, or the same one of another run."""
    first, second = random.sample(FILES, 2)
    others = [random.choice(honest) / first, run / second]
    data = [path.read_bytes() if path.exists() else b"" for path in others]
    (run / first).write_bytes(random.choice(data))


def field_of_run_json(random: Random, run: Path, _: list[Path]) -> None:
    """Change values of run.json."""
    path = run / "run.json"
    value = json.loads(path.read_bytes())
    for _time in range(random.choice([1, 1, 1, 2, 4])):
        change(random, value)
    data = written(value)
    if random.random() < 0.1:  # a key twice
        line = random.choice(data[1:-1].split(b", "))
        data = data[:-1] + b", " + line + b"}"
    path.write_bytes(data)


def field_of_draft(random: Random, run: Path, _: list[Path]) -> None:
    """Change a setting of the draft, or several."""
    held = dict(SETTINGS)
    for _time in range(random.randint(1, 3)):
        if held:
            change(random, held)
    (run / "draft.json").write_bytes(written(held))


def field_of_history(random: Random, run: Path, _: list[Path]) -> None:
    """Change values of history.jsonl."""
    path = run / "history.jsonl"
    values = [json.loads(line) for line in path.read_bytes().splitlines()]
    change(random, values)
    path.write_bytes(b"\n".join(map(written, values)))


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the header of a safetensors file, and its numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put(path: Path, header: bytes, data: bytes, length: int | None = None) -> None:
    """Write a safetensors file, its length told as it is not."""
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)


def corpus(random: Random, run: Path, _: list[Path]) -> None:
    """Change where the text came from, and what was done with it."""
    path = run / "run.json"
    value = json.loads(path.read_bytes())
    pipe = run / "pipe"
    os.mkfifo(pipe)
    odd = [str(pipe), "/dev/zero", "/proc/self/mem", "/dev/stdin", str(run), "", "\0", "["]
    odd += ["\ud800", "x" * 5_000, str(run / "training.txt.bz2"), "~", "//", "no.zip", "a\nb"]
    does = random.randrange(4)
    if does == 0:
        value["corpus"]["places"] = random.choices(odd, k=random.choice([1, 1, 2]))
    elif does == 1:
        codecs = ["utf-7", "utf-16", "hex", "idna", "unicode_escape", "\0", "", "x" * 5_000, "分"]
        value["corpus"]["encoding"] = random.choice([*codecs, "rot13", "undefined", "mbcs"])
    elif does == 2:
        value["samples"]["prefixes"] = random.choices([*odd, "Ω", "分开", "x" * 9], k=2)
        value["samples"]["every"] = 1
    else:
        value["started_from"] = random.choice(odd)
        (run / "resume.safetensors").unlink()
    path.write_bytes(written(value))


def position(random: Random, run: Path, _: list[Path]) -> None:
    """Change values of where a training stood."""
    path = run / "resume.safetensors"
    header, data = parts(path)
    value = json.loads(header["__metadata__"]["position"])
    for _time in range(random.choice([1, 1, 2])):
        change(random, value)
    header["__metadata__"]["position"] = written(value).decode()
    put(path, json.dumps(header).encode(), data)


def tensors(random: Random, run: Path) -> Path:
    """Return one of the safetensors files that there are; one has no grams."""
    return random.choice([run / name for name in TENSORS if (run / name).exists()])


def header(random: Random, run: Path, _: list[Path]) -> None:
    """Let a safetensors file describe what it does not hold."""
    path = tensors(random, run)
    value, data = parts(path)
    names = [name for name in value if name != "__metadata__"]
    name = random.choice(names)
    does = random.randrange(10)
    length = None
    if does == 0:
        length = random.choice([0, 1, 7, 2**31, 2**32, 2**63, 2**64 - 1, 100_000_001, len(data)])
    elif does == 1:
        value[name]["shape"] = random.choice(
            [[], [0], [2**40], [2**32, 2**32], [2**63, 2], [1] * 100, [2**64], [-1], [1.5], "x"]
        )
    elif does == 2:
        dtypes = ["F16", "BF16", "F64", "I8", "U8", "I64", "BOOL", "F8_E4M3", "F4", "C64", "X", 5]
        value[name]["dtype"] = random.choice(dtypes)
    elif does == 3:
        low, high = value[name]["data_offsets"]
        value[name]["data_offsets"] = random.choice(
            [[0, 4], [high, low], [low, 2**62], [-1, 4], [2**63, 2**63 + 4], [low], [low + 4, high]]
        )
    elif does == 4:
        value[random.choice(["more", "", "a\nb", "/", "分", "x" * 10_000])] = value.pop(name)
    elif does == 5:
        value[name], value[names[0]] = value[names[0]], value[name]
    elif does == 6:
        # A terabyte that the offsets agree with.
        value[name].update(shape=[2**38], data_offsets=[0, 2**40])
    elif does == 7:
        change(random, value)
    elif does == 8:
        value["__metadata__"] = odd_value(random, {})
    else:
        value = odd_value(random, {})
    put(path, written(value), data, length)


def numbers(random: Random, run: Path, _: list[Path]) -> None:
    """Put odd numbers into weights, moments, states or grams."""
    path = tensors(random, run)
    value, data = parts(path)
    whole = len(data) // 4 * 4  # the log, which is bytes, may end anywhere
    floats = np.frombuffer(data[:whole], "<f4").copy()
    odd = [math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e30, 1e-45, -0.0, -1.0, 0.0]
    many = random.choice([1, 3, len(floats)])
    floats[random.sample(range(len(floats)), many)] = random.choice(odd)
    put(path, json.dumps(value).encode(), floats.tobytes() + data[whole:])


def bomb(random: Random, run: Path, _: list[Path]) -> None:
    """Let a small file unpack to a large one."""
    size = random.choice([10**6, 3 * 10**7])
    data = bz2.compress(b"\n" * size) * random.choice([1, 2])
    path = run / "run.json"
    value = json.loads(path.read_bytes())
    value["corpus"]["training_characters"] = random.choice([size, 1, 10**15, size - 1])
    path.write_bytes(written(value))
    (run / "training.txt.bz2").write_bytes(data)


def terabytes(random: Random, run: Path, _: list[Path]) -> None:
    """Let run.json ask for terabytes of weights, and a file that is mostly holes have them."""
    path = run / "run.json"
    value = json.loads(path.read_bytes())
    sizes = {"hidden": 65_536, "layers": random.choice([40, 64]), "embedding": 0, "cell": "rnn"}
    value["recipe"]["architecture"].update(sizes)
    path.write_bytes(written(value))
    info = RunDirectory(run).read_info()
    held = info.recipe.architecture.parameter_shapes(len(info.vocabulary))
    if random.random() < 0.5:
        held = {f"weights/{name}": shape for name, shape in held.items()}
    entries, at = {}, 0
    for name, shape in held.items():
        end = at + 4 * math.prod(shape)
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    described = json.dumps(entries).encode()
    path = run / random.choice(TENSORS)
    put(path, described, b"")
    with contextlib.suppress(OSError):
        os.truncate(path, 8 + len(described) + at)


def large(random: Random, run: Path, _: list[Path]) -> None:
    """Let a file be far longer than it should be."""
    path = run / random.choice(FILES)
    size = random.choice([2**26, 2**33, 2**42])
    if random.random() < 0.5:
        path.write_bytes(b"")  # nothing but zeros
    with contextlib.suppress(OSError):
        os.truncate(path, size)


def plant(random: Random, run: Path, _: list[Path]) -> None:
    """Leave something in a place that will be written into."""
    names = (*FILES, "samples.txt", "curve.svg")
    path = run / random.choice([".lock", *(f".{name}.part" for name in names), "curve.svg"])
    path.unlink(missing_ok=True)
    does = random.randrange(5)
    if does == 0:
        path.mkdir()
    elif does == 1:
        os.mkfifo(path)
    elif does == 2:
        path.write_bytes(b"left behind")
    else:
        path.symlink_to(run.parent / "precious")


def several(random: Random, run: Path, honest: list[Path]) -> None:
    """Change two or three things."""
    for _time in range(random.choice([2, 3])):
        # What was changed first may not let itself be changed again.
        with contextlib.suppress(Exception):
            KINDS[random.choice(["field_of_run_json", "position", "numbers", "cut", "swap"])](
                random, run, honest
            )


Change = Callable[[Random, Path, list[Path]], None]
KINDS: dict[str, Change] = {
    kind.__name__: kind
    for kind in (
        *(flip, cut, replace, swap, field_of_run_json, field_of_history, field_of_draft, corpus),
        *(position, header, numbers, bomb, terabytes, large, plant, several),
    )
}
_WEIGHTS = {"field_of_run_json": 5, "position": 4, "header": 3, "flip": 2, "replace": 2}


# What is done with a run.


def changed(run: Path, honest: Path) -> set[str]:
    """Return the files that are not those of the honest run."""

    def looks(path: Path) -> object:
        mode = path.lstat().st_mode if os.path.lexists(path) else 0
        large = mode and path.lstat().st_size > 1 << 20
        return mode, path.read_bytes() if stat.S_ISREG(mode) and not large else large

    names = {path.name for place in (run, honest) for path in place.iterdir()}
    return {name for name in names if looks(run / name) != looks(honest / name)}


def try_all(run: Path, outcome: Outcome, touched: set[str]) -> None:
    """Open a run, write, measure and go on with it, where that reads what was touched."""
    named = str(run)
    told = "run.json" in touched
    opened = outcome.attempt("load", lambda: charlstm.load(run))
    commands: list[tuple[str, ...]] = []
    if told or touched & {"model.safetensors", "recall.safetensors"}:
        commands.append(("generate", "--run", named, "--length", "4"))
    if opened:  # the others begin in the same way
        if told or touched & {"training.txt.bz2", "heldout.txt"}:
            copies = ("--length", "4", "--max-copy", "9", "--seed", "1")
            commands.append(("generate", "--run", named, *copies))
        if told or touched & {"model.safetensors", "recall.safetensors", "heldout.txt"}:
            threads = ("--json", "--threads", "1")
            commands.append(("eval", "perplexity", "--run", named, *threads))
        if touched & set(DRAFT):
            outcome.command("write", "--run", named, "--seed", "1", stdin=b"1\nq\n")
        if touched - {"training.txt.bz2", "heldout.txt", "history.jsonl", *DRAFT}:
            steps = ("--steps", str(STEPS + 2), "--threads", "1")
            commands.append(("train", "--resume", "--name", named, *steps))
    if "history.jsonl" in touched:
        outcome.attempt("history", RunDirectory(run).read_history)
    for arguments in commands:
        outcome.command(*arguments)


def case(
    seed: int, honest: list[Path], number: int, root: Path, *, seconds: float = SECONDS
) -> Outcome:
    """Make a case and try it; everything it leaves is below `root`."""
    random = Random(f"{seed}/{number}")
    kind = random.choices(list(KINDS), [_WEIGHTS.get(kind, 1) for kind in KINDS])[0]
    run = root / "changed"
    before = random.choice(honest)
    shutil.copytree(before, run)
    precious = root / "precious"
    precious.write_bytes(b"mine")
    outcome = Outcome(kind)
    try:
        KINDS[kind](random, run, honest)
    except RunError:  # a change of a change, of what can no longer be read
        outcome.kind = f"{kind} that was not possible"
    touched = changed(run, before)
    with outcome.limited(seconds):
        try_all(run, outcome, touched)
    lines = [line for told in outcome.refused for line in told.splitlines()]
    if any(len(line) > LONGEST_SENTENCE for line in lines):
        outcome.offences.append(f"a sentence of {max(map(len, lines)):,} characters")
    if precious.is_symlink() or precious.read_bytes() != b"mine":
        outcome.offences.append("a file outside of the run was written")
    shutil.rmtree(run)
    return outcome


def main() -> None:
    """Run cases, print counts and every offender; exit with 1 if there is one."""
    arguments = arguments_of(__doc__)
    with tempfile.TemporaryDirectory() as place:
        honest = train(Path(place))
        for run in honest:
            copied = shutil.copytree(run, Path(place) / "copy")
            outcome = Outcome("none")
            try_all(copied, outcome, set(FILES))
            assert not outcome.offences, outcome
            assert {"load", "generate", "train"} <= set(outcome.worked), outcome
            shutil.rmtree(copied)
        right = report(functools.partial(case, arguments.seed, honest), arguments)
    raise SystemExit(0 if right else 1)


if __name__ == "__main__":
    main()
