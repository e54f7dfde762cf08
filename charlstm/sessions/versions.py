"""Which versions train a model, and whether they are the same for all of its workers."""

import importlib.metadata
import json
import platform

from charlstm.errors import WorkerError
from charlstm.training.distributed import Workers


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide about weights."""
    libraries = ("charlstm", "torch", "numpy", "safetensors")
    known = {"python": platform.python_version()}
    for library in libraries:
        try:
            known[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            known[library] = "unknown"
    return known


def check_versions(workers: Workers) -> None:
    """Check that all workers have the same charlstm and the same torch, before anything else.

    How torch was built may differ, for processors alone or with a GPU in mind.

    Raises:
        WorkerError: one of them has another version, or see `Workers.gather`.
    """
    ours = versions()
    said = json.dumps({name: ours[name].partition("+")[0] for name in ("charlstm", "torch")})
    told = [json.loads(one) for one in workers.gather(said)]
    if not workers.is_joined:
        return
    for rank, theirs in enumerate(told):
        for name, version in told[workers.leader].items():
            if theirs[name] != version:
                raise WorkerError(
                    f"Worker {rank} has {name} {theirs[name]}, and worker {workers.leader} has "
                    f"{name} {version}: install the same version for all of them."
                )
