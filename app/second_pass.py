"""The second pass of a recording: smoothed with all of it known, and written in the place of the live rows.

Until its last step, which swaps two files, the live CSV stays as it is. What else is made here (other
formats, the annotated video) is taken away again where the pass does not come to its end.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from engine.errors import SourceError
from engine.settings import SmoothingSettings
from engine.sinks import Sink
from engine.sinks.atomic import whole_file
from engine.skeleton import Skeleton
from engine.sources import Source, SourceInfo, open_source
from engine.stopping import Stop
from engine.structures import Frame
from engine.tracking.offline import smooth_offline
from engine.tracking.recorded import Recording, SmoothedTrack, smoothed_results

LOGGER = logging.getLogger(__name__)

Step = Literal["smoothing", "writing"]
"""What the second pass does, in this order: paths are laid, then everything is written anew."""
StepHook = Callable[[Step, float], None]
"""Is told the step at hand and the share of it that is done, 0 to 1."""
OpenSinks = Callable[[ExitStack, Path], Sequence[Sink]]
"""Opens what is written, the CSV under the name given; the stack closes it."""


@dataclass(frozen=True, slots=True)
class People:
    """Who is in the rows: ids of the tracks, and how many there are at once at most."""

    track_ids: frozenset[int]
    most: int


class _StoppedError(Exception):
    """A stop was asked for in the middle of the pass."""


def smooth_again(
    recording: Recording,
    settings: SmoothingSettings,
    skeleton: Skeleton,
    csv: Path,
    open_sinks: OpenSinks,
    *,
    undo: Callable[[], None],
    pictures: SourceInfo | None,
    stop: Stop,
    on_step: StepHook | None = None,
) -> People | None:
    """Smooth a recording once more and put its rows in the place of the live ones, all in one step.

    Args:
        recording: the whole of it.
        settings: of the smoothing.
        skeleton: of the people.
        csv: with the live rows, closed.
        open_sinks: opens what is to be written.
        undo: takes away what those sinks made, the CSV aside, where the pass does not come to its end.
        pictures: source that is read once more for its frames; None where no sink needs them.
        stop: is asked after every track, every window of a long one, and every frame.
        on_step: is told as often how far this pass is.

    Returns:
        Who is in the rows now; None where a stop was asked for, so that the live rows are still there.

    Raises:
        SourceError: the source does not give the same frames again.
        SinkError: something cannot be written; the live rows are still there.
    """

    def go_on(step: Step, share: float) -> None:
        if on_step:
            on_step(step, share)
        if stop.requested:
            raise _StoppedError

    begin = time.perf_counter()
    try:
        go_on("smoothing", 0.0)
        tracks = smooth_offline(recording, settings, skeleton, advance=partial(go_on, "smoothing"))
        smoothed = time.perf_counter()
        with ExitStack() as failed:
            with whole_file(csv) as part, ExitStack() as opened:
                sinks = open_sinks(opened, part)
                # Not before: what a sink refused to replace is not ours to take away.
                failed.callback(undo)
                people = _write(recording, tracks, sinks, pictures, partial(go_on, "writing"))
            failed.pop_all()
    except _StoppedError:
        return None
    LOGGER.info(
        "%s: second pass: smoothed in %.1f s, written in %.1f s",
        csv.name, smoothed - begin, time.perf_counter() - smoothed,
    )  # fmt: skip
    return people


def _write(
    recording: Recording,
    tracks: tuple[SmoothedTrack, ...],
    sinks: Sequence[Sink],
    pictures: SourceInfo | None,
    advance: Callable[[float], None],
) -> People:
    """Write the rows of all frames, telling before each the share that is done."""
    seen: set[int] = set()
    most, count = 0, len(recording.indices)
    with ExitStack() as stack:
        frames = None if pictures is None else iter(stack.enter_context(closing(_open_again(pictures))))
        for number, result in enumerate(smoothed_results(recording, tracks)):
            advance(number / count)
            if pictures is not None and frames is not None:
                result = replace(result, frame=_same_frame(frames, result.frame, pictures))
            for sink in sinks:
                sink.write(result)
            seen.update(person.track_id for person in result.people)
            most = max(most, len(result.people))
    return People(frozenset(seen), most)


def _open_again(info: SourceInfo) -> Source:
    if info.path is None:
        raise SourceError(f"{info.name} cannot be read a second time, as the video with --offline needs it")
    return open_source(
        info.path,
        fps=info.fps or 30.0,
        stills=info.stills,
        decoder="nvdec" if info.decoder == "nvdec" else "software",
    )


def _same_frame(frames: Iterator[Frame], wanted: Frame, info: SourceInfo) -> Frame:
    """Return the next frame, which must be the one that was seen before."""
    frame = next(frames, None)
    if frame is None or frame.index != wanted.index:
        raise SourceError(
            f"{info.name} does not give its frame {wanted.index} again for the video; "
            "was it changed meanwhile?"
        )
    return frame
