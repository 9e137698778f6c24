"""Get published models: fetch the checkpoint, convert it, tell how far it is, stop when asked to.

The command line (`app.models`) runs `obtain_model` itself; the window runs it as a `ModelJob`, in a thread.
Conversion is a process of its own, since only `train` knows torch.
"""

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import engine
from engine.download import Patience, download
from engine.errors import ModelFileError, RuntimeUnavailableError, SinkError, SteadyPoseError
from engine.model_file import file_sha256, read_spec
from engine.zoo_catalogue import CATALOGUE, MMPOSE_STORE, PublishedModel
from engine.zoo_store import checkpoints_dir, downloaded_dir, store_address

LOGGER = logging.getLogger(__name__)

CONVERTER = "train.convert"
"""Run as a process: only it knows torch."""
CONVERTER_NEEDS = ("torch", "onnxscript", "safetensors")
INSTALL_LINE = "pip install '.[train]'"
POLL_S = 0.1
"""How often a conversion looks whether it is to stop."""
TERMINATE_S = 3.0
"""How long a conversion may take to end before it is killed."""

Phase = Literal["waiting", "downloading", "converting", "done", "failed", "cancelled"]
ENDED: tuple[Phase, ...] = ("done", "failed", "cancelled")


class JobProgress(NamedTuple):
    """How far a model is; total_bytes is None where the server does not say."""

    done_bytes: int
    total_bytes: int | None
    phase: Phase


class CancelledError(Exception):
    """It was asked to stop; what was fetched is kept for the next time."""


@dataclass(frozen=True, slots=True)
class StopSwitch:
    """Lets another thread end what this one does."""

    event: threading.Event

    def check(self) -> None:
        """Raise if stopping was asked for.

        Raises:
            CancelledError: it was.
        """
        if self.event.is_set():
            raise CancelledError


ReportProgress = Callable[[JobProgress], None]


def find_usable(entry: PublishedModel) -> Path | None:
    """Return the model file of a published model if it is at hand and can be read."""
    target = model_target(entry)
    if not target.is_file():
        return None
    try:
        read_spec(target)
    except ModelFileError as error:
        LOGGER.warning("%s; it is made again", error)
        return None
    return target


def model_target(entry: PublishedModel) -> Path:
    """Return where the model file of a published model lies, or will."""
    return downloaded_dir() / f"{entry.name}.onnx"


def obtain_model(
    entry: PublishedModel,
    *,
    report: ReportProgress,
    source: Path | None = None,
    keep: bool = False,
    stop: threading.Event | None = None,
    patience: Patience | None = None,
) -> Path:
    """Fetch and convert a published model.

    Args:
        entry: row of the catalogue.
        report: told of every piece that came and of the conversion's start.
        source: a checkpoint at hand to take instead of fetching it.
        keep: leave the fetched checkpoint in the data folder.
        stop: setting it ends the work soon: at the next piece of the file, or by ending the conversion.
        patience: timeouts and attempts of the download.

    Returns:
        The model file.

    Raises:
        CancelledError: `stop` was set.
        ModelFileError: the file could not be fetched, is not the published one, or could not be converted.
        RuntimeUnavailableError: what the conversion needs is not installed.
        SinkError: a file cannot be written.
    """
    switch = StopSwitch(stop or threading.Event())
    switch.check()
    checkpoint = check_given(entry, source) if source else _fetch(entry, report, switch, patience)
    target = model_target(entry)
    _require_converter(checkpoint)
    size = checkpoint.stat().st_size
    report(JobProgress(size, size, "converting"))
    _convert(entry, checkpoint, target, switch)
    if source is None and not keep:
        checkpoint.unlink(missing_ok=True)
    return target


def check_given(entry: PublishedModel, source: Path) -> Path:
    """Return the given checkpoint, absolute, if it is the published one.

    Raises:
        ModelFileError: it is missing or another one.
    """
    if not source.is_file():
        raise ModelFileError(f"checkpoint {source} does not exist; give the path of the downloaded file")
    digest = file_sha256(source)
    if not digest.startswith(entry.sha256_prefix):
        raise ModelFileError(
            f"{source} is not the published file: its SHA-256 begins with {digest[:8]} instead of "
            f"{entry.sha256_prefix}; for other weights use `python -m train convert FILE OUT.onnx --like "
            f"{entry.name}`"
        )
    return source.absolute()


def missing_for_conversion() -> list[str]:
    """Return the packages that the conversion needs and that are not installed."""
    return [package for package in CONVERTER_NEEDS if find_spec(package) is None]


def _fetch(
    entry: PublishedModel, report: ReportProgress, switch: StopSwitch, patience: Patience | None
) -> Path:
    if not entry.path:
        raise ModelFileError(
            f"its authors publish it without a hash, so it is not fetched; see {entry.page}, then run "
            f"`steadypose models download {entry.name} --from FILE`"
        )

    def told(done: int, total: int | None) -> None:
        switch.check()
        report(JobProgress(done, total, "downloading"))

    store = store_address()
    url, target = entry.url(store), checkpoints_dir() / entry.file_name
    download(
        url,
        target,
        sha256_prefix=entry.sha256_prefix,
        allow_http=store != MMPOSE_STORE,
        progress=told,
        patience=patience or Patience(),
        advice=f"or fetch {entry.url()} by other means and run `steadypose models download {entry.name} "
        "--from FILE`",
    )
    switch.check()
    return target


def _require_converter(checkpoint: Path) -> None:
    if missing := missing_for_conversion():
        raise RuntimeUnavailableError(
            f"the checkpoint is at hand ({checkpoint}), but converting it needs {', '.join(missing)}; run "
            f"{INSTALL_LINE} in a clone of the repository, then download the model again"
        )


def _convert(entry: PublishedModel, checkpoint: Path, target: Path, switch: StopSwitch) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{target.parent} cannot be made: {error.strerror or error}") from error
    command = [sys.executable, "-m", CONVERTER, str(checkpoint), str(target)]
    command += ["--entry", entry.model_dump_json()]
    try:
        code, told_lines = run_converter(command, switch)
    except BaseException:
        for left in target.parent.glob(f".{entry.name}.*.onnx"):  # what the ended process was writing
            left.unlink(missing_ok=True)
        raise
    LOGGER.debug("%s", told_lines)
    if code != 0:
        told = [line for line in told_lines.splitlines() if line.startswith("error: ")]
        reason = told[-1].removeprefix("error: ") if told else f"its process ended with {code}"
        raise ModelFileError(f"the checkpoint {checkpoint} could not be converted: {reason}")
    read_spec(target)


def run_converter(command: list[str], switch: StopSwitch) -> tuple[int, str]:
    """Run the converter; return its exit code and what it wrote to stderr.

    Raises:
        CancelledError: stopping was asked for; the process has ended.
    """
    root = Path(engine.__file__).parent.parent
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command,
        cwd=root,  # so that no folder called `train` where the user is comes first
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    with process:
        try:
            while True:
                switch.check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    _, told = process.communicate(timeout=POLL_S)
                    return process.returncode, told
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that still runs."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(TERMINATE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ModelJob:
    """One published model being fetched and converted in a thread of its own.

    Every property may be read from any thread.
    """

    def __init__(self, name: str, *, patience: Patience | None = None) -> None:
        """Take a name in `engine.zoo_catalogue.CATALOGUE`; `start` begins.

        Args:
            name: of the model.
            patience: of the download; by default half as patient as the command line, so that a stop is soon.
        """
        self.name = name
        self._entry = CATALOGUE[name]
        self._patience = patience or Patience(timeout_s=10.0, attempts=3)
        self._stop = threading.Event()
        self._progress = JobProgress(0, None, "waiting")
        self._message = ""
        self._result: Path | None = None
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask for the end; returns at once, `wait` tells when."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; return whether it has come."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def progress(self) -> JobProgress:
        """How far it is."""
        return self._progress

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self._progress.phase in ENDED

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end and still works."""
        return self._stop.is_set() and not self.ended

    @property
    def message(self) -> str:
        """Why it failed, one sentence; empty otherwise."""
        return self._message

    @property
    def result(self) -> Path | None:
        """The model file once it is done."""
        return self._result

    def _report(self, progress: JobProgress) -> None:
        self._progress = progress

    def _end_as(self, phase: Phase, message: str = "") -> None:
        self._message = message
        self._progress = self._progress._replace(phase=phase)

    def _run(self) -> None:
        try:
            self._result = find_usable(self._entry) or obtain_model(
                self._entry, report=self._report, stop=self._stop, patience=self._patience
            )
        except CancelledError:
            self._end_as("cancelled")
        except SteadyPoseError as error:
            LOGGER.warning("%s: %s", self.name, error)
            self._end_as("failed", str(error))
        except Exception as error:  # top of a thread: it reports instead of dying unheard
            LOGGER.exception("%s failed", self.name)
            self._end_as("failed", f"{type(error).__name__}: {error}; the log tells more")
        else:
            self._end_as("done")
