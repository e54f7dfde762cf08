import copy
import math
import pickle
from collections.abc import Callable

import pytest

import charlstm
from charlstm.checks import check_choice, check_count, check_known, check_real, check_whole
from charlstm.cli.names import option
from charlstm.cli.write.settings import command
from charlstm.errors import (
    CharLSTMError,
    Command,
    Message,
    RecipeError,
    Setting,
    SettingError,
    TrainingError,
    UnknownSettingError,
)
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.recipe import Recipe
from charlstm.text.corpus import TextOptions
from charlstm.text.unseen import readable
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import Decoding


def refusal(ask: Callable[[], object]) -> SettingError:
    with pytest.raises(SettingError) as caught:
        ask()
    return caught.value


@pytest.mark.parametrize(
    ("ask", "setting", "expected", "found"),
    [
        (lambda: check_whole("seed", -1, 0), "seed", "a whole number from 0 up", "-1"),
        (lambda: check_whole("seed", 9, 0, 8), "seed", "a whole number from 0 to 8", "9"),
        (lambda: check_whole("seed", 2.0, 0), "seed", "a whole number from 0 up", "2.0"),
        (lambda: check_whole("seed", True, 0), "seed", "a whole number from 0 up", "True"),
        (
            lambda: check_count("min_count", 2**53 + 1, 1),
            "min_count",
            "a whole number from 1 to 9,007,199,254,740,992",
            "9007199254740993",
        ),
        (lambda: check_real("clip", -0.5, 0, math.inf), "clip", "a number from 0 up", "-0.5"),
        (lambda: check_real("dropout", 1, 0, 0.95), "dropout", "a number from 0 to 0.95", "1"),
        (
            lambda: check_real("learning_rate", 0, 0, math.inf, above=True),
            "learning_rate",
            "a number above 0",
            "0",
        ),
        (
            lambda: check_real("top_p", "x" * 99, 0, 1, above=True),
            "top_p",
            "a number above 0 and at most 1",
            "'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
        ),
        (lambda: check_choice("cell", "mlp", ("gru", "rnn")), "cell", "one of gru, rnn", "'mlp'"),
        (lambda: Recipe("test", batch=0), "batch", "a whole number from 1 to 65,536", "0"),
        (lambda: Recipe("a\nb"), "name", "a line of text", r"'a\nb'"),
        (
            lambda: Architecture(cell="mlp"),
            "cell",
            "one of lstm, peephole, coupled, gru, rnn",
            "'mlp'",
        ),
        (lambda: TextOptions(newline="tab"), "newline", "'keep' or 'space'", "'tab'"),
        (lambda: TextOptions(limit=0), "limit", "a whole number from 1 up", "0"),
        (lambda: Decoding(temperature=-1), "temperature", "a number from 0 to 100", "-1"),
        (
            lambda: readable("a", Vocabulary.build("a"), "guess"),
            "unknown",
            "error, skip or map",
            "'guess'",
        ),
    ],
)
def test_a_refused_setting_is_known_by_its_name_with_what_it_must_be_and_what_it_is(
    ask: Callable[[], object], setting: str, expected: str, found: str
) -> None:
    error = refusal(ask)
    assert (error.setting, error.expected, error.found) == (setting, expected, found)
    assert str(error) == f"{setting} must be {expected}, not {found}."
    assert isinstance(error, RecipeError)


@pytest.mark.parametrize(
    ("part", "python", "typed", "in_a_song"),
    [
        (Setting("learning_rate"), "learning_rate", "--lr", "--lr"),
        (Setting("min_count"), "min_count", "--min-count", "--min-count"),
        (Setting("start_from"), "start_from", "--from", "--from"),
        (Setting("prefixes"), "prefixes", "--prefix", "--prefix"),
        (Setting("tensorboard"), "tensorboard", "--log tensorboard", "--log tensorboard"),
        (Setting("index", False), "index=False", "--no-index", "--no-index"),
        (
            Setting("precision", "float32"),
            "precision='float32'",
            "--precision float32",
            "--precision float32",
        ),
        (Setting("rhyme", "AABA"), "rhyme='AABA'", "--rhyme AABA", "/rhyme AABA"),
        (
            Setting("must", ("雨", "风")),
            "must=('雨', '风')",
            "--must 雨 --must 风",
            "/must 雨 /must 风",
        ),
        (Setting("line_length", "7"), "line_length='7'", "--line-length 7", "/length 7"),
        (Setting("acrostic_end"), "acrostic_end", "--acrostic-end", "/end"),
        (Setting("max_copy"), "max_copy", "--max-copy", "/copy"),
        (Setting("lines", 2), "lines=2", "--lines 2", "--lines 2"),
        (
            Command("train"),
            "charlstm.train(...)",
            "charlstm train CORPUS",
            "charlstm train CORPUS",
        ),
        (
            Command("resume", "my song"),
            "charlstm.resume('my song')",
            "charlstm train --resume --name 'my song'",
            "charlstm train --resume --name 'my song'",
        ),
        (
            Command("resume", "song", piped=True),
            "charlstm.resume('song')",
            "charlstm train - --resume --name song",
            "charlstm train - --resume --name song",
        ),
        (
            Command("resume", "song", handed=True),
            "charlstm.resume('song', text=...)",
            "charlstm train FILE --resume --name song",
            "charlstm train FILE --resume --name song",
        ),
        (
            Command("novelty"),
            "TrainedModel.novelty",
            "charlstm eval novelty FILE",
            "charlstm eval novelty FILE",
        ),
    ],
)
def test_whoever_shows_a_message_says_what_its_reader_calls_things(
    part: Setting | Command, python: str, typed: str, in_a_song: str
) -> None:
    message = Message("Try ", part, ", or rest.")
    assert str(message) == message.told() == f"Try {python}, or rest."
    assert message.told(option) == f"Try {typed}, or rest."
    assert message.told(command) == f"Try {in_a_song}, or rest."


def test_a_phrase_is_quoted_where_it_would_be_typed_in_a_song() -> None:
    assert command(Setting("must", ("my love", "雨"))) == '/must "my love" /must 雨'


def test_the_error_of_a_setting_has_the_option_s_name_on_the_command_line() -> None:
    error = refusal(lambda: Recipe("test", learning_rate=0))
    assert str(error) == "learning_rate must be a number above 0, not 0."
    assert error.message.told(option) == "--lr must be a number above 0, not 0."
    error = refusal(lambda: Decoding(temperature=-1))
    assert error.message.told(command) == "/temperature must be a number from 0 to 100, not -1."


@pytest.mark.parametrize("name", ["train", "resume"])
def test_the_commands_of_a_message_are_there(name: str) -> None:
    assert str(Command(name)) == f"charlstm.{name}(...)"
    assert callable(getattr(charlstm, name))
    assert callable(charlstm.TrainedModel.novelty)


@pytest.mark.parametrize(
    "error",
    [SettingError("batch", "a whole number", "0"), TrainingError("Lower ", Setting("clip"), ".")],
)
@pytest.mark.parametrize(
    "again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "process"]
)
def test_an_error_says_the_same_after_it_came_from_another_process(
    error: CharLSTMError, again: Callable[[CharLSTMError], CharLSTMError]
) -> None:
    found = again(error)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert found.message.parts == error.message.parts
    assert vars(found).keys() == vars(error).keys()


def test_of_a_long_part_a_message_has_the_beginning_and_the_end() -> None:
    message = Message(
        "x" * 720_037 + " is damaged: restore it, or leave ", Setting("rhyme"), " out."
    )
    assert len(str(message)) < 2_100
    assert str(message).startswith("xxx")
    assert " … xxx" in str(message)
    assert str(message).endswith("is damaged: restore it, or leave rhyme out.")
    assert len(Message(Setting("must", "雨" * 9_999)).told(command)) < 2_100
    assert str(Message("x" * 2_000)) == "x" * 2_000


def test_a_setting_that_there_is_not_is_told_with_the_nearest() -> None:
    known = ("epochs", "steps", "learning_rate")
    check_known(("epochs", "steps"), known)
    for given, told in (
        (("epoch",), "called epoch: did you mean epochs?"),
        (("lr",), "called lr: did you mean learning_rate?"),
        (("epoch", "step"), "called epoch, step: did you mean epochs and steps?"),
        (("colour", "epoch"), "called colour, epoch: did you mean epochs?"),
        (("colour",), "called colour."),
    ):
        with pytest.raises(UnknownSettingError) as caught:
            check_known(given, known, {"lr": "learning_rate"})
        assert str(caught.value) == f"There is no setting {told}"
        assert isinstance(caught.value, RecipeError)
        assert isinstance(caught.value, TypeError)
