"""charlstm: a character-level LSTM for your own texts.

    import charlstm

    model = charlstm.train("lyrics.txt")
    print(model.generate("分开"))
    print(model.perplexity().perplexity)

    model = charlstm.load()  # the newest run

The names here are the public ones; where they are defined may change.

The letters used for shapes, in code, tests and documents: ``T`` time, ``B`` batch, ``I`` input,
``H`` hidden, ``V`` vocabulary, ``L`` layers, ``N`` characters of a text or streams side by side,
``G`` blocks of H rows a cell. Tensors are ``[T, B, ...]``. Losses are in nats a character.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.api import load, resume, train
    from charlstm.errors import (
        CharLSTMError,
        CorpusError,
        FormError,
        MissingLibraryError,
        OutputError,
        RecipeError,
        RunError,
        SettingError,
        TrainingError,
        UnknownCharactersError,
        UnknownSettingError,
        WorkerError,
    )
    from charlstm.recipes.recipe import Recipe
    from charlstm.trained import TrainedModel
    from charlstm.writing.composer import Composer
    from charlstm.writing.constraints import Constraint
    from charlstm.writing.decoding import Decoding
    from charlstm.writing.form import Form
    from charlstm.writing.sampler import Sampler

__version__ = "0.2.0"

__all__ = [
    "CharLSTMError",
    "Composer",
    "Constraint",
    "CorpusError",
    "Decoding",
    "Form",
    "FormError",
    "MissingLibraryError",
    "OutputError",
    "Recipe",
    "RecipeError",
    "RunError",
    "Sampler",
    "SettingError",
    "TrainedModel",
    "TrainingError",
    "UnknownCharactersError",
    "UnknownSettingError",
    "WorkerError",
    "load",
    "resume",
    "train",
]

_HOMES = {
    **dict.fromkeys(("load", "resume", "train"), "api"),
    "Composer": "writing.composer",
    "Constraint": "writing.constraints",
    "Decoding": "writing.decoding",
    "Form": "writing.form",
    "Recipe": "recipes.recipe",
    "Sampler": "writing.sampler",
    "TrainedModel": "trained",
}


def __getattr__(name: str) -> Any:
    # On demand, so that `import charlstm` costs neither NumPy nor torch.
    if name not in __all__:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    import importlib

    home = importlib.import_module(f"charlstm.{_HOMES.get(name, 'errors')}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
