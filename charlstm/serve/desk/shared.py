"""What the answers to the page share: the training, the songs that are open, what was computed."""

import re

import anyio
from starlette.requests import Request

from charlstm.serve.answers import Refused
from charlstm.serve.desk.leases import Leases
from charlstm.serve.desk.measures import Measures
from charlstm.serve.desk.songwriters import Songwriters
from charlstm.serve.desk.trainings import Trainings
from charlstm.serve.desk.uploads import Uploads
from charlstm.serve.fields import Fields
from charlstm.serve.opened import Models


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
    desk: Desk = request.app.state.served.desk
    return desk


def client_of(fields: Fields) -> str:
    """Return which tab asks.

    Raises:
        Refused: it does not say so.
    """
    client = fields.needed("client", most=100)
    if not re.fullmatch(r"[\w.-]+", client):
        raise Refused('"client" must be letters, digits, "." and "-".', param="client")
    return client
