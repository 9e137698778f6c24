"""The source's frames with the tracked people drawn on them, as H.264 in MP4, with the source's timing."""

import os
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from engine.errors import SinkError
from engine.sinks.drawing import draw_people
from engine.sinks.sink import write_failure
from engine.skeleton import Skeleton
from engine.sources.picture import fit_image
from engine.sources.source import SourceInfo
from engine.structures import Image, Result

ENCODER = "libx264"
QUALITY = {"crf": "20", "preset": "veryfast", "bf": "0"}
"""No B-frames: their delay would move the first frame from its time where the file is left unfinished."""
CLOCK = 90_000
"""Ticks per second: fine enough for every usual rate, and what players expect."""
MUXER = {"movflags": "hybrid_fragmented+frag_keyframe+delay_moov"}
"""Fragments while writing, so that a killed run leaves a file that plays; an ordinary MP4 once closed."""
KEY_FRAMES_S = 2.0
DEPTH = 4
"""Results that may wait for the encoder."""
WAKE_S = 0.5
"""A wait without a timeout cannot be interrupted by Ctrl-C on Windows."""
HD_HEIGHT = 720
"""From here on video is BT.709, below BT.601, as players assume."""
BT709, BT601, LIMITED_RANGE = 1, 6, 1


class AnnotatedVideoSink:
    """Draws and encodes in a thread of its own; `write` waits only while several results are waiting.

    Frame times are those of the results, so that a variable frame rate stays one. An odd width or height is
    padded by one row or column; pictures of another size than the source's are scaled into it.

    Args:
        path: MP4 file to write; its folder must exist.
        skeleton: of the people in the results.
        info: of the source the results come from.
        overwrite: replace a file that exists.

    Raises:
        SinkError: the file cannot be made, or this build of FFmpeg has no H.264 encoder.
    """

    def __init__(self, path: Path, skeleton: Skeleton, info: SourceInfo, *, overwrite: bool = False) -> None:
        self.path = path
        self._skeleton = skeleton
        self._size = info.size
        self._frame_ticks = round(CLOCK / (info.fps or 1.0))
        self._last_ticks = -1
        self._waiting: deque[Result] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._failure: SinkError | None = None
        _check_encoder()
        _make_file(path, overwrite)
        try:
            self._container = av.open(f"file:{path}", "w", format="mp4", options=MUXER)
            self._stream = self._add_stream(info)
        except (av.FFmpegError, OSError) as error:
            raise _as_sink_error(path, error) from error
        self._thread = threading.Thread(target=self._work, name=f"encode {path.name}", daemon=True)
        self._thread.start()

    def write(self, result: Result) -> None:
        """Hand over one result.

        Raises:
            SinkError: an earlier result could not be written.
            ValueError: the sink is closed.
        """
        with self._changed:
            while len(self._waiting) >= DEPTH and self._failure is None:
                self._changed.wait(WAKE_S)
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise ValueError(f"the sink of {self.path} is closed")
            self._waiting.append(result)
            self._changed.notify_all()

    def close(self) -> None:
        """Encode what is waiting and finish the file; safe to call more than once.

        Raises:
            SinkError: something could not be written, unless `write` has said so.
        """
        with self._changed:
            already, self._ended = self._ended, True
            self._changed.notify_all()
        self._thread.join()
        if not already and self._failure is not None:
            raise self._failure

    def _add_stream(self, info: SourceInfo) -> av.VideoStream:
        rate = Fraction(info.fps or 1.0).limit_denominator(1001)
        stream = cast(av.VideoStream, self._container.add_stream(ENCODER, rate=rate, options=QUALITY))
        stream.height, stream.width = (side + side % 2 for side in info.size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, CLOCK)
        context.gop_size = max(1, round(rate * KEY_FRAMES_S))
        matrix = BT709 if info.size[0] >= HD_HEIGHT else BT601
        context.colorspace = context.color_primaries = context.color_trc = matrix
        context.color_range = LIMITED_RANGE
        return stream

    def _work(self) -> None:
        """Run in the thread: encode until the end, then finish the file whatever happened."""
        try:
            try:
                while (result := self._next()) is not None:
                    self._container.mux(self._stream.encode(self._make_picture(result)))
                self._container.mux(self._stream.encode())
            finally:
                self._container.close()
        except (av.FFmpegError, OSError) as error:
            self._fail(_as_sink_error(self.path, error))
        except Exception as error:  # noqa: BLE001 - top of a thread: raised again by write or close
            failure = SinkError(f"{self.path} cannot be written: {error}")
            failure.__cause__ = error
            self._fail(failure)

    def _next(self) -> Result | None:
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            result = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return result

    def _fail(self, failure: SinkError) -> None:
        with self._changed:
            self._failure = failure
            self._waiting.clear()
            self._changed.notify_all()

    def _make_picture(self, result: Result) -> av.VideoFrame:
        image = draw_people(result.frame.image, result.people, self._skeleton)
        image = _pad_even(fit_image(image, self._size))
        colours = "ITU709" if self._size[0] >= HD_HEIGHT else "ITU601"
        picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
            format="yuv420p", dst_colorspace=colours, dst_color_range="MPEG"
        )
        # Two frames on one tick, or a time that goes back, would end the encoding.
        self._last_ticks = max(round(result.frame.time_s * CLOCK), self._last_ticks + 1)
        picture.pts, picture.time_base = self._last_ticks, Fraction(1, CLOCK)
        picture.duration = self._frame_ticks
        return picture


def _check_encoder() -> None:
    try:
        av.Codec(ENCODER, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise SinkError(
            f"the annotated video needs the encoder {ENCODER}, which this build of PyAV lacks; "
            "install PyAV from its wheel (pip install av), or leave the video out"
        ) from error


def _make_file(path: Path, overwrite: bool) -> None:
    """Make the file now: FFmpeg would replace one that exists, and says less about why it cannot."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | (0 if overwrite else os.O_EXCL), 0o666))
    except OSError as error:
        raise write_failure(path, error) from error


def _as_sink_error(path: Path, error: Exception) -> SinkError:
    if isinstance(error, OSError):
        return write_failure(path, error)
    return SinkError(f"{path} cannot be written: the encoder failed: {error}")


def _pad_even(image: Image) -> Image:
    """Repeat the last row and column of odd sizes: 4:2:0 halves both."""
    height, width = image.shape[:2]
    if not (height % 2 or width % 2):
        return image
    padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
