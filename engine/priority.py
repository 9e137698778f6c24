"""Lets threads that compute stand back behind the one that somebody is looking at."""

import os
import sys
import threading

BACKGROUND, SPARE = 5, 10
"""Niceness of work that results wait for, and of work that can wait itself."""


def stand_back(niceness: int) -> None:
    """Lower the priority of the calling thread, and of threads it makes; does nothing but on Linux.

    On two busy cores the window's thread otherwise waits for its turn behind the networks: 57 ms instead of
    20 while models are compiled. Linux alone has a niceness for each thread; it can be raised by anybody.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
