"""The figures of a training for TensorBoard, for those who have it installed."""

import importlib.util
from pathlib import Path

from charlstm.errors import MissingLibraryError, RunError, Setting
from charlstm.figures import Report


def has_tensorboard() -> bool:
    """Return whether TensorBoard is installed."""
    return importlib.util.find_spec("tensorboard") is not None


def require_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises:
        MissingLibraryError: it is not.
    """
    if not has_tensorboard():
        raise MissingLibraryError(
            "TensorBoard is not installed here: pip install tensorboard, or leave ",
            Setting("tensorboard"),
            " out.",
        )


class TensorBoardLog:
    """Writes reports below a run directory, which TensorBoard is then pointed at.

    Args:
        path: the run directory.
        step: where the run stands; figures of later steps, left by a run that was killed, are
            dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        # Here, because importing it takes as long as everything else together and few need it.
        from torch.utils.tensorboard import SummaryWriter

        if (path / "tensorboard").is_symlink():  # whoever made the run may have meant another place
            raise RunError(f"{path / 'tensorboard'} is a link, and figures are not written there.")
        try:
            self._writer = SummaryWriter(path / "tensorboard", purge_step=step + 1)
        except OSError as error:
            raise RunError(f"{path / 'tensorboard'} cannot be written: {error.strerror}.") from None

    def write(self, report: Report) -> None:
        """Add the figures of one report, over optimiser steps."""
        figures = {
            "loss/training": report.train_loss,
            "loss/held-out": report.validation_loss,
            "loss/held-out, network alone": report.network_loss,
            "perplexity/training": report.train_perplexity,
            "perplexity/held-out": report.validation_perplexity,
            "perplexity/held-out, network alone": report.network_perplexity,
            "learning rate": report.learning_rate,
            "characters a second": report.characters / max(report.seconds, 1e-9),
        }
        for name, value in figures.items():
            if value is not None:
                self._writer.add_scalar(name, value, report.step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
