"""What the command line calls the settings and commands that a message names."""

import shlex

from charlstm.errors import Command, Setting

# Where an option is not called like its setting.
_OPTIONS = {
    "labels": "label",
    "learning_rate": "lr",
    "prefixes": "prefix",
    "start_from": "from",
    "tensorboard": "log tensorboard",
}


def option(part: Setting | Command) -> str:
    """Return a setting as the option that says it, or a command as it is typed."""
    return _command(part) if isinstance(part, Command) else _option(part)


def setting_called(option: str) -> str:
    """Return the name of a setting that was typed as its option is: ``lr``, ``head-rate``."""
    names = {typed: name for name, typed in _OPTIONS.items()}
    return names.get(option, option.replace("-", "_"))


def _option(setting: Setting) -> str:
    name = f"--{_OPTIONS.get(setting.name, setting.name.replace('_', '-'))}"
    if setting.value is ...:
        return name
    if setting.value is False:
        return name.replace("--", "--no-", 1)
    if isinstance(setting.value, tuple):  # an option that is repeated
        return " ".join(f"{name} {value}" for value in setting.value)
    return f"{name} {setting.value}"


def _command(command: Command) -> str:
    match command.name:
        case "train":
            return "charlstm train CORPUS"
        case "novelty":
            return "charlstm eval novelty FILE"
    assert command.name == "resume", command.name
    text = ["-"] if command.piped else ["FILE"] if command.handed else []
    typed = ["charlstm", "train", *text, "--resume"]
    return shlex.join([*typed, *(["--name", command.run] if command.run else [])])
