"""Try the clients that people have with our server: install their newest versions and ask.

    python tests/clients.py

openai, langchain-openai and llm are installed into an environment that is made for it and gone
afterwards; curl must be there. Each asks a server of a small model as its manual says, streams
where it can, and must get the text that the server gives itself; an unknown character must be an
error of the client with our sentence.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ("openai", "langchain-openai", "llm")
PROMPT, SEED, LENGTH = "分开", 1, 20

ASKING = """
import json, sys
from openai import BadRequestError, OpenAI
from langchain_openai import ChatOpenAI
from langchain_openai import OpenAI as Completing

base, key, prompt = sys.argv[1:4]
asked = {"model": "song", "seed": int(sys.argv[4]), "max_tokens": int(sys.argv[5])}
client = OpenAI(base_url=base, api_key=key)
messages = [{"role": "user", "content": prompt}]
texts = {"the list of models": [each.id for each in client.models.list()]}
texts["openai"] = client.completions.create(prompt=prompt, **asked).choices[0].text
parts = client.completions.create(prompt=prompt, stream=True, **asked)
texts["openai, streamed"] = "".join(part.choices[0].text for part in parts)
whole = client.chat.completions.create(messages=messages, **asked)
texts["openai, chat"] = whole.choices[0].message.content
parts = client.chat.completions.create(messages=messages, stream=True, **asked)
texts["openai, chat, streamed"] = "".join(part.choices[0].delta.content for part in parts)
scored = client.completions.create(
    model="song", prompt=prompt, echo=True, logprobs=1, max_tokens=0
).choices[0]
assert len(scored.logprobs.token_logprobs) == len(scored.text) == len(prompt)
try:
    client.completions.create(prompt="☃", **asked)
except BadRequestError as error:
    texts["error"] = error.body["message"]
there = {"base_url": base, "api_key": key, "temperature": 0.8, **asked}
texts["langchain"] = Completing(**there).invoke(prompt)
texts["langchain, chat"] = ChatOpenAI(**there).invoke(prompt).content
texts["langchain, chat, streamed"] = "".join(
    part.content for part in ChatOpenAI(**there).stream(prompt)
)
print(json.dumps(texts))
"""


def output(*command: str | Path, **environment: str) -> str:
    """Run a command that must succeed; return what it prints."""
    told = {**os.environ, **environment}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=told)
    return done.stdout


def by_llm(programs: Path, where: Path, base: str, key: str) -> str:
    """Ask with `llm`, for which our model is one of its configuration; return the text."""
    entry = {
        "model_id": "song",
        "model_name": "song",
        "api_base": base,
        "api_key_name": "charlstm",
        "completion": True,
    }
    # Every JSON is YAML.
    listed = json.dumps([entry])
    (where / "extra-openai-models.yaml").write_text(listed, encoding="utf-8")
    llm, home = programs / "llm", {"LLM_USER_PATH": str(where)}
    output(llm, "keys", "set", "charlstm", "--value", key, **home)
    options = ("-o", "max_tokens", str(LENGTH), "-o", "seed", str(SEED), "-o", "temperature", "0.8")
    return output(llm, "-m", "song", *options, PROMPT, **home)


def by_curl(base: str, key: str) -> str:
    """Ask with `curl`; return the text."""
    asked = {"model": "song", "prompt": PROMPT, "seed": SEED, "max_tokens": LENGTH}
    headers = ("-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json")
    told = output("curl", "-s", f"{base}/completions", *headers, "-d", json.dumps(asked))
    return str(json.loads(told)["choices"][0]["text"])


def train(where: Path) -> None:
    """Make a small model to ask."""
    lyrics = ROOT / "data" / "lyrics_zh.txt"
    small = ("--hidden", "16", "--embedding", "8", "--epochs", "1", "--name", "song", "--quiet")
    command = [sys.executable, "-m", "charlstm", "train", str(lyrics), *small]
    subprocess.run(command, cwd=where, check=True)


def main(arguments: Sequence[str]) -> None:
    """Install, ask, compare."""
    if arguments:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        venv.create(where / "clients", with_pip=True)
        programs = where / "clients" / "bin"
        output(programs / "pip", "install", "--quiet", *CLIENTS)
        train(where)
        command = [sys.executable, "-m", "charlstm", "serve", "--no-browser", "--port", "0"]
        with subprocess.Popen(command, cwd=where, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                address, _, key = server.stdout.readline().strip().partition("/?token=")
                base = f"{address}/v1"
                expected = by_curl(base, key)
                asked = (base, key, PROMPT, str(SEED), str(LENGTH))
                texts = json.loads(output(programs / "python", "-c", ASKING, *asked, PYTHONPATH=""))
                texts["llm"] = by_llm(programs, where, base, key).rstrip("\n")
            finally:
                server.terminate()
    assert texts.pop("the list of models") == ["song"]
    assert "has never seen '☃'" in texts.pop("error")
    for client, text in texts.items():
        assert text.rstrip("\n") == expected.rstrip("\n"), (client, text, expected)
        print(f"{client}: as curl")


if __name__ == "__main__":
    main(sys.argv[1:])
