"""Sources: where frames come from. `open_source` is the one door."""

import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import SourceError, UsageError
from engine.settings import VideoDecoder
from engine.sources.address import SCHEMES, mask_address, scheme_of
from engine.sources.source import CameraMode, Source, SourceInfo

if TYPE_CHECKING:
    from engine.sources.live import LiveSource

__all__ = ["Source", "SourceInfo", "is_live", "open_source"]

_CAMERA = re.compile(r"\d+|/dev/video\d+")

# The readers are imported when one is needed: each loads a large library.


def open_source(
    spec: str | Path,
    *,
    fps: float = 30.0,
    stills: bool = False,
    start_s: float = 0.0,
    camera_mode: CameraMode | None = None,
    as_camera: bool = False,
    decoder: VideoDecoder = "software",
) -> Source:
    """Open a video file, a folder of images, one image, a camera or a stream.

    Args:
        spec: a path, a camera's number or ``/dev/video`` device, a network address (`address.SCHEMES`), or a
            named pipe. A folder is one sequence of images in natural name order.
        fps: frames per second of an image sequence; a video has its own.
        stills: the images of a folder are independent pictures. A single image always is.
        start_s: where to start in a file: the first frame is the one shown then, the last one if that is
            beyond the end; `Frame.time_s` is as if read from the beginning, and so is `Frame.index`, see
            `engine.sources.video.open_video`.
        camera_mode: what is wanted of a camera; what it gives instead is in the warnings of the source.
        as_camera: play a file round and round at its own pace, dropping what is not taken in time.
        decoder: of a video file: in software, by "nvdec" on an NVIDIA GPU, or "auto": there where it can be.

    Returns:
        A source of which at least one frame can be read; close it, or use it in ``with``. A camera, a stream,
        a pipe and a file `as_camera` are an `engine.sources.live.LiveSource`.

    Raises:
        SourceError: there is nothing of that name, or nothing in it that can be read.
        UsageError: an address of an unknown kind, an impossible `fps` or `start_s`, or a start within a
            source that is live.
    """
    path = Path(spec)
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a number above 0, got {fps}")
    if not (math.isfinite(start_s) and start_s >= 0):
        raise UsageError(f"start_s must be a number of seconds from 0 on, got {start_s}")
    if start_s and (as_camera or is_live(spec)):
        raise UsageError(f"start_s must be 0 for what is live, got {start_s}")
    if is_live(spec):
        return _open_live(spec, camera_mode)
    if as_camera:
        from engine.sources.live import open_live
        from engine.sources.replay import ReplayReader

        again = partial(_open_file, path, fps=fps, stills=stills, start_s=0.0, decoder=decoder)
        return open_live(path.resolve().name, partial(ReplayReader, again), path=path)
    return _open_file(path, fps=fps, stills=stills, start_s=start_s, decoder=decoder)


def is_live(spec: str | Path) -> bool:
    """Return whether `open_source` takes this for a camera, a stream or a named pipe, without opening it."""
    text, path = str(spec), Path(spec)
    if scheme_of(text) is not None:
        return True
    try:
        is_camera = _CAMERA.fullmatch(text) is not None and not path.is_file() and not path.is_dir()
        return is_camera or path.is_fifo()
    except OSError:
        return False


def _open_live(spec: str | Path, camera_mode: CameraMode | None) -> "LiveSource":
    from engine.sources.live import open_live

    text = str(spec)
    scheme = scheme_of(text)
    if scheme is None and _CAMERA.fullmatch(text):
        from engine.sources.camera import camera_opener

        return open_live(*camera_opener(text, camera_mode))
    from engine.sources.stream import open_pipe, open_stream

    if scheme is None:
        return open_live(Path(spec).name, partial(open_pipe, Path(spec)), path=Path(spec))
    if scheme not in SCHEMES:
        raise UsageError(
            f"{mask_address(text)} is an address of an unknown kind; known are "
            + ", ".join(f"{known}://" for known in SCHEMES)
        )
    return open_live(mask_address(text), partial(open_stream, text))


def _open_file(path: Path, *, fps: float, stills: bool, start_s: float, decoder: VideoDecoder) -> Source:
    try:
        if path.is_dir():
            from engine.sources.images import open_images

            return open_images(path, fps=fps, stills=stills, start_s=start_s)
        _check_file(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    from engine.sources.images import IMAGE_SUFFIXES, open_images

    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_images(path, fps=fps, stills=True, start_s=start_s)
    from engine.sources.video import open_video

    return open_video(path, start_s, decoder)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder; sources are video files and image folders")
    with path.open("rb") as stream:
        if not stream.read(1):
            raise SourceError(f"{path} is empty (0 bytes); was it copied or recorded to its end?")
