"""charlstm: a character-level LSTM for your own texts.

    import charlstm

    model = charlstm.train("lyrics.txt")
    print(model.generate("分开"))
    print(model.perplexity().perplexity)

    model = charlstm.load()  # the newest run

The letters used for shapes, in code, tests and documents: ``T`` time, ``B`` batch, ``I`` input,
``H`` hidden, ``V`` vocabulary, ``L`` layers, ``N`` characters of a text or streams side by side,
``G`` blocks of H rows a cell. Tensors are ``[T, B, ...]``. Losses are in nats a character.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.api import TrainedModel, load, resume, train
    from charlstm.errors import CharLSTMError

__all__ = ["CharLSTMError", "TrainedModel", "load", "resume", "train"]


def __getattr__(name: str) -> Any:
    # On demand, so that `import charlstm` costs neither NumPy nor torch.
    if name == "CharLSTMError":
        from charlstm.errors import CharLSTMError

        return CharLSTMError
    if name in __all__:
        from charlstm import api

        return getattr(api, name)
    raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
