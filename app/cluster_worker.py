"""What one process of a cluster does with the inputs that `app.cluster` gives it.

An input it cannot see comes in pieces, and results that cannot be written in their place go back in pieces;
both lie meanwhile in a temporary folder of its own. Methods are called from several threads: while one
tracks, another asks for news.
"""

import hashlib
import logging
import platform
import shutil
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import cv2

from app.batch_choice import with_choice
from app.batch_task import Models, Outcome, Recipe, Task, track_task
from app.console import PACKAGES
from app.machine import package_versions
from app.outputs import output_paths
from app.resume import fingerprint_input, make_request, read_sidecar
from app.second_pass import Step
from engine import __version__
from engine.errors import SourceError, SteadyPoseError
from engine.sinks.sidecar import Sidecar, write_sidecar

LOGGER = logging.getLogger(__name__)

MUST_AGREE = ("SteadyPose", "its code", "Python")
"""What must be the same in a worker as where the batch was started."""
CODE = ("app", "engine")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a worker says of itself. node: its machine; environment: see `describe_environment`.

    sees_out: whether it can write to the output folder. problem: why it cannot do the work, or nothing.
    """

    node: str
    environment: Mapping[str, str]
    sees_out: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Fatal:
    """The models cannot be opened there, so nothing can be done there."""

    kind: type[SteadyPoseError]
    message: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a worker's log."""

    logger: str
    level: int
    message: str


@dataclass(frozen=True, slots=True)
class News:
    """How far a worker is.

    key: of the input it is at, None for none; begun: whether it is open. step, share: of its second pass and
    how much of that step is done, None where there is none yet.
    """

    key: int | None
    begun: bool
    total: int | None
    frames: int
    people: int
    log: tuple[LogLine, ...]
    step: Step | None = None
    share: float = 0.0


class ClusterWorker:
    """One process with its models; `level`: weakest log level that is passed on; threads: of OpenCV."""

    paused_s = 0.0

    def __init__(self, level: int, threads: int) -> None:
        self._lock = threading.Lock()
        self._log: list[LogLine] = []
        self._stopped = False
        self._now = News(None, False, None, 0, 0, ())
        self._models: Models | None = None
        self._scratch = TemporaryDirectory(prefix="steadypose-worker-")
        self._inbox, self._outbox = Path(self._scratch.name) / "in", Path(self._scratch.name) / "out"
        self._handler = _Collector(self)
        for name in PACKAGES:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self._handler], False
            logger.setLevel(level)
        cv2.setNumThreads(max(1, threads))

    def greet(self, recipe: Recipe, probe: Path, token: str) -> Greeting:
        """Say what this process is and can do. probe: file in the output folder that holds `token`."""
        problem = ""
        try:
            own = make_request(recipe.asked, recipe.request.options)
            if own.digest != recipe.request.digest:
                names = [name for name, sha in own.models.items() if recipe.request.models.get(name) != sha]
                problem = f"has another file of the model {', '.join(names) or 'asked for'}"
        except SteadyPoseError as error:
            problem = f"cannot open the models: {error}"
        return Greeting(socket.gethostname(), describe_environment(), _sees(probe, token), problem)

    def choose(self, task: Task, recipe: Recipe, *, sent: bool) -> Mapping[str, Any] | Fatal:
        """Return what `auto` chooses here for an input, nothing where the input cannot be opened."""
        try:
            return with_choice(recipe, [self._own(task, sent=sent, send_back=False)], jobs=2)[0].choice
        except SteadyPoseError as error:
            return Fatal(type(error), str(error))

    def look(self, path: Path, fingerprint: str) -> bool:
        """Return whether an input lies here under the same path with the same content."""
        try:
            return path.exists() and fingerprint_input(path) == fingerprint
        except (OSError, SourceError):
            return False

    def receive(self, name: str, piece: bytes) -> None:
        """Add a piece to a file of an input that is sent. name: relative, with / between its parts."""
        path = self._inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(piece)

    def work(self, task: Task, recipe: Recipe, *, sent: bool, send_back: bool) -> Outcome | Fatal:
        """Track one input. sent: it came in pieces; send_back: its results will be fetched."""
        if self._models is None:
            self._models = Models(recipe.settings)
        own = self._own(task, sent=sent, send_back=send_back)
        if send_back:
            self._outbox.mkdir(parents=True, exist_ok=True)
        self._change(key=task.key, begun=False, frames=0, people=0, step=None, share=0.0)
        try:
            outcome = track_task(own, recipe, self._models, watcher=self, stop=self, on_step=self.second_pass)
        except SteadyPoseError as error:
            return Fatal(type(error), str(error))
        finally:
            self._change(key=None)
        if sent:
            _tell_origin(own, task)
        return _with_true_paths(outcome, own, task)

    def results(self) -> list[tuple[str, int]]:
        """Return names, relative and with / between parts, and sizes of the files that wait to be fetched."""
        files = sorted(path for path in self._outbox.rglob("*") if path.is_file())
        return [(path.relative_to(self._outbox).as_posix(), path.stat().st_size) for path in files]

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return a piece of a result."""
        with (self._outbox / name).open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    def clear(self) -> None:
        """Delete what was sent here and what was made of it."""
        for folder in (self._inbox, self._outbox):
            if folder.exists():
                shutil.rmtree(folder)

    def news(self) -> News:
        """Return how far this process is; a line of the log is told once."""
        with self._lock:
            log, self._log = tuple(self._log), []
            return replace(self._now, log=log)

    def stop(self) -> None:
        """End after the frame at hand."""
        self._stopped = True

    def close(self) -> None:
        """Free the models and delete the temporary folder."""
        if self._models is not None:
            self._models.close()
        self._scratch.cleanup()

    @property
    def requested(self) -> bool:
        """Whether to end now: asked by the recording after every frame."""
        return self._stopped

    def begin(self, total: int | None) -> None:
        """Take note that the input is open."""
        self._change(begun=True, total=total)

    def advance(self, frames: int, people: int) -> None:
        """Take note of its frames."""
        self._change(frames=frames, people=people)

    def second_pass(self, step: Step, share: float) -> None:
        """Take note of how far the second pass is."""
        self._change(step=step, share=share)

    def add_line(self, line: LogLine) -> None:
        """Keep a line of the log until news are asked for."""
        with self._lock:
            self._log.append(line)

    def _change(self, **values: Any) -> None:
        with self._lock:
            self._now = replace(self._now, **values)

    def _own(self, task: Task, *, sent: bool, send_back: bool) -> Task:
        """Return the task with the paths of this process."""
        item = task.item
        if sent:
            item = replace(item, path=self._inbox / item.path.name)
        if not send_back:
            return replace(task, item=item)
        paths = output_paths(item, self._outbox, video=task.paths.video is not None)
        return replace(task, item=item, paths=paths, replace=True)


class _Collector(logging.Handler):
    """Keeps log records for those who ask for news."""

    def __init__(self, worker: ClusterWorker) -> None:
        super().__init__()
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        trace = f"\n{logging.Formatter().formatException(record.exc_info)}" if record.exc_info else ""
        self._worker.add_line(LogLine(record.name, record.levelno, record.getMessage() + trace))


def describe_environment() -> dict[str, str]:
    """Return version of the program, digest of its code, Python's version, and those of other packages."""
    return {
        "SteadyPose": __version__,
        "its code": _code_digest(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **package_versions(),
    }


def _code_digest() -> str:
    """Return a digest of the code that tracks, line ends aside."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in CODE:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def _sees(probe: Path, token: str) -> bool:
    """Whether the folder of a probe is here the same one, and can be written to."""
    try:
        if probe.read_text("utf-8") != token:
            return False
        with NamedTemporaryFile(dir=probe.parent, prefix=".steadypose-"):
            return True
    except OSError:
        return False


def _tell_origin(own: Task, task: Task) -> None:
    """Let the sidecar name the path where the input came from."""
    told = read_sidecar(own.paths.sidecar)
    if told is not None:
        sidecar = Sidecar.model_validate(told)
        source = sidecar.source.model_copy(update={"path": str(task.item.path)})
        write_sidecar(own.paths.sidecar, sidecar.model_copy(update={"source": source}))


def _with_true_paths(outcome: Outcome, own: Task, task: Task) -> Outcome:
    """Return an outcome whose words and files are those of the one who sent the task."""
    places = [
        (str(own.item.path), str(task.item.path)),
        (str(own.paths.csv.parent), str(task.paths.csv.parent)),
    ]

    def mend(text: str) -> str:
        for here, there in places:
            text = text.replace(here, there)
        return text

    return replace(
        outcome,
        error=mend(outcome.error),
        warnings=tuple(mend(text) for text in outcome.warnings),
        files=tuple(task.paths.csv.parent / path.relative_to(own.paths.csv.parent) for path in outcome.files),
    )
