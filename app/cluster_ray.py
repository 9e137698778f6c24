"""Ray, the library of clusters: connecting, what there is to work with, and its errors in one line.

Ray is optional (`pip install "steadypose[cluster]"`) and imported here only.
"""

import importlib
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, TextIO

from engine.errors import UsageError
from engine.runtime import cpu_runtimes
from engine.settings import EstimatorSettings

LOGGER = logging.getLogger(__name__)

RayModule = Any
INSTALL = 'pip install "steadypose[cluster]"'
CORES = 2
"""Cores of a worker on CPUs; each holds models of its own, some 400 MB."""
CONNECT_S = 5.0
WORDS = {"auto", "local"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many workers there will be and of what kind.

    threads: of each; hire: function (class, *arguments) that starts one and returns its handle.
    """

    count: int
    threads: int
    text: str
    hire: Callable[..., Any]


def import_ray() -> RayModule:
    """Return the module `ray`.

    Raises:
        UsageError: it is not installed.
    """
    # Ray's usage reports would leave the machine, and nobody asked for that. The other one keeps Ray from
    # hiding GPUs in ways that it warns of itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UsageError(f"--ray needs Ray, which cannot be loaded here ({error}); {INSTALL}") from error


@contextmanager
def connected(address: str) -> Iterator[RayModule]:
    """Connect to a cluster and leave it at the end; "local" starts one for that time.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    check_address(address)
    ray = import_ray()
    on_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if on_main else None
    try:
        options = {"include_dashboard": False} if address == "local" else {}
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise UsageError(
            f"--ray {address}: {ray_line(error)}; `ray start --head` starts a cluster, and this machine must "
            "belong to it"
        ) from error
    finally:
        if on_main:
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there, which ends the program.
    try:
        with redirect_stdout(_WithoutRay(sys.stdout)):
            yield ray
    finally:
        ray.shutdown()


class _WithoutRay:
    """Standard output, where a thread of Ray would write pages about a node that died; they go to the log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what is not Ray's."""
        if not threading.current_thread().name.startswith("ray_"):
            return self._stream.write(text)
        if text.strip():
            LOGGER.debug("%s", _COLOURS.sub("", text).rstrip())
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def check_address(address: str) -> None:
    """Refuse an address where nothing answers; Ray itself takes a minute to find out.

    Raises:
        UsageError: it is none, or nobody is there.
    """
    if address in WORDS:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "//" in host:
        raise UsageError(
            f"--ray takes auto, local or HOST:PORT of the cluster's head (as 10.0.0.1:6379), got {address!r}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--ray {address}: nothing answers there ({error}); is the cluster up?") from error


def plan_workers(ray: RayModule, settings: EstimatorSettings) -> Plan:
    """Plan one worker per GPU where the cluster has some and they are wanted, else one per `CORES` cores.

    Raises:
        UsageError: the cluster has nothing to work with.
    """
    nodes = [node for node in ray.nodes() if node.get("Alive")]
    gpus = [int(node["Resources"].get("GPU", 0)) for node in nodes]
    cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes]
    if any(gpus) and settings.runtime not in cpu_runtimes():
        count, threads, needs = sum(gpus), settings.threads, {"num_gpus": 1, "num_cpus": 1}
        kind = "one GPU"
    else:
        threads = settings.threads or min(CORES, max(cpus, default=0))
        count = sum(cores // threads for cores in cpus) if threads else 0
        needs, kind = {"num_cpus": threads}, f"cores: {threads}"
    if not count:
        asked = f", and --threads asks for {settings.threads} CPUs each" if settings.threads else ""
        has = f"{sum(cpus)} CPUs and {sum(gpus)} GPUs on {len(nodes)} nodes"
        raise UsageError(f"the cluster has no worker to give: {has}{asked}")

    def hire(kind_of_worker: type, *arguments: Any) -> Any:
        # Several calls at once: one works while others are asked how far it is.
        options = {**needs, "max_concurrency": 4, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        return ray.remote(**options)(kind_of_worker).remote(*arguments)

    text = f"nodes: {len(nodes)}, workers: {count}, each with {kind}"
    return Plan(count, threads, text, hire)


def ray_line(error: BaseException) -> str:
    """Return what an error of Ray says, which may be a page, in one line."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {cause}".splitlines()[0]
    telling = [line for line in lines if "Error:" in line] or lines[:1]
    return telling[-1].rstrip(".") if telling else type(error).__name__
