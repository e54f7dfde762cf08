"""How long a test waits: until it happens.

No test says how fast something is: a machine may be slow, and busy with other things besides. So
there is one limit for all that is waited for, which only keeps what hangs from hanging for ever.
"""

import time
from collections.abc import Callable

HANGS_AFTER = 600
"""Seconds. On a quiet machine nothing that is waited for takes a twentieth of them."""


def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened.

    Raises:
        TimeoutError: it never does.
    """
    give_up = time.monotonic() + HANGS_AFTER
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError("it did not happen")
        time.sleep(0.005)
