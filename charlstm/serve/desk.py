"""What the answers to the page share: the training, the songs that are open, what was computed."""

import anyio
from starlette.requests import Request

from charlstm.serve.leases import Leases
from charlstm.serve.measures import Measures
from charlstm.serve.opened import Models
from charlstm.serve.songwriters import Songwriters
from charlstm.serve.trainings import Trainings
from charlstm.serve.uploads import Uploads


class Desk:
    """All of it.

    Args:
        models: the runs.

    Attributes:
        models: the same.
        trainings: the one that runs, or has run last.
        uploads: texts that a model is to learn.
        leases: which songs are open, and where.
        songwriters: what writes lines, and reads songs.
        measures: figures that were computed.
        heavy: lets one heavy job run at a time that somebody waits for while writing.
        quick: the same for what somebody waits for while typing.
        slow: the same for what takes as long as a text is long.
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self.root = models.root
        self.trainings = Trainings(models.root)
        self.uploads = Uploads(models.root)
        self.leases = Leases()
        self.songwriters = Songwriters(models)
        self.measures = Measures(models)
        self.heavy = anyio.CapacityLimiter(1)
        self.quick = anyio.CapacityLimiter(1)
        self.slow = anyio.CapacityLimiter(1)

    async def close(self) -> None:
        """End what goes on: a training is stopped as ever, and can go on later."""
        self.leases.close()
        self.measures.close()
        await anyio.to_thread.run_sync(self.trainings.close)


def desk_of(request: Request) -> Desk:
    """Return the desk that a request is for."""
    desk: Desk = request.app.state.desk
    return desk
