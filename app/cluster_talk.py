"""Conversations with one worker of a cluster: generators that yield what is awaited and are sent what came.

An input that the worker does not see, and results that it cannot write in their place, go over in pieces, one
at a time, so that a file of any size needs little memory.
"""

import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.batch_task import Outcome, Recipe, Task
from app.cluster_worker import Fatal, News
from app.outputs import OutputPaths
from app.resume import fingerprint_input
from engine.errors import SourceError, UsageError
from engine.sinks.atomic import whole_file
from engine.sinks.sink import write_failure
from engine.sources.images import list_images

PIECE_BYTES = 8 << 20
PROBE = ".steadypose-probe"

Track = Generator[Any, Any, tuple[Outcome | Fatal, News | None]]
Choose = Generator[Any, Any, Mapping[str, Any] | Fatal]


@contextmanager
def lay_probe(folder: Path) -> Iterator[tuple[Path, str]]:
    """Lay a file into the output folder by which a worker knows whether it sees that folder.

    Raises:
        UsageError: it cannot be written.
    """
    token = uuid4().hex
    # One name for all runs, so that what a killed one left is replaced and deleted by the next.
    path = folder.absolute() / PROBE
    try:
        path.write_text(token, "utf-8")
    except OSError as error:
        raise UsageError(
            f"the output folder {folder} cannot be written: {error.strerror or error}"
        ) from error
    try:
        yield path, token
    finally:
        path.unlink(missing_ok=True)


def choose_on(actor: Any, tasks: Sequence[Task], recipe: Recipe) -> Choose:
    """Let a worker choose how `auto` finds people, on the first input that opens.

    Returns:
        What it chose; nothing where no input can be opened.
    """
    for task in tasks:
        yield actor.clear.remote()
        try:
            sent = yield from _send(actor, task)
        except SourceError:
            continue  # It is told when its turn comes.
        told: Mapping[str, Any] | Fatal = yield actor.choose.remote(absolute_task(task), recipe, sent=sent)
        if told:
            return told
    return {}


def track_on(actor: Any, task: Task, recipe: Recipe, *, send_back: bool) -> Track:
    """Have one input done by a worker, and its results where they belong.

    Returns:
        What came of it, and the last news.

    Raises:
        SourceError: the input cannot be read.
        SinkError: a result cannot be written.
    """
    yield actor.clear.remote()
    sent = yield from _send(actor, task)
    outcome = yield actor.work.remote(absolute_task(task), recipe, sent=sent, send_back=send_back)
    if isinstance(outcome, Fatal):
        return outcome, None
    news = yield actor.news.remote()
    folder = task.paths.csv.parent
    if send_back:
        yield from _fetch(actor, folder, task.paths.sidecar.name)
    yield actor.clear.remote()
    files = tuple(folder / path.relative_to(_absolute(folder)) for path in outcome.files)
    return replace(outcome, files=files), news


def absolute_task(task: Task) -> Task:
    """Return a task whose paths mean the same in a process that works elsewhere."""
    paths = task.paths
    video = None if paths.video is None else _absolute(paths.video)
    outputs = OutputPaths(_absolute(paths.csv), _absolute(paths.sidecar), video)
    return replace(task, item=replace(task.item, path=_absolute(task.item.path)), paths=outputs)


def input_pieces(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a file, or the images of a folder, in pieces, each with the name of its file.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        for file in list_images(path) if path.is_dir() else [path]:
            name = file.relative_to(path.parent).as_posix()
            with file.open("rb") as stream:
                piece = stream.read(PIECE_BYTES)
                yield name, piece
                while len(piece) == PIECE_BYTES:
                    piece = stream.read(PIECE_BYTES)
                    yield name, piece
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _send(actor: Any, task: Task) -> Generator[Any, Any, bool]:
    """Send an input that the worker does not see; return whether it was sent."""
    path = _absolute(task.item.path)
    if (yield actor.look.remote(path, fingerprint_input(path))):
        return False
    for name, piece in input_pieces(path):
        yield actor.receive.remote(name, piece)
    return True


def _fetch(actor: Any, folder: Path, sidecar: str) -> Generator[Any, Any, None]:
    """Put what a worker has made into a folder, each file in one step.

    The sidecar comes last, as it says that the others are complete.
    """
    results = yield actor.results.remote()
    for top in {name.split("/")[0] for name, _ in results if "/" in name}:
        _clear(folder / top)
    for name, size in sorted(results, key=lambda result: result[0] == sidecar):
        path = folder / name
        with whole_file(path) as part:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                while stream.tell() < size:
                    stream.write((yield actor.read.remote(name, stream.tell(), PIECE_BYTES)))


def _clear(folder: Path) -> None:
    """Delete a folder of an earlier run."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise write_failure(folder, error, folder=True) from error


def _absolute(path: Path) -> Path:
    # Not resolve: what a link leads to here need not be where it leads to there.
    return Path(os.path.abspath(path))
