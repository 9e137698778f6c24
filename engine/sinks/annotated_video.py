"""The source's frames, with the tracked people drawn on them or clean, as H.264 in MP4 with their timing."""

import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from engine.errors import SinkError
from engine.priority import BACKGROUND, stand_back
from engine.sinks.drawing import draw_people
from engine.sinks.sink import write_failure
from engine.skeleton import Skeleton
from engine.sources.picture import fit_image
from engine.sources.source import SourceInfo
from engine.structures import Image, Result

ENCODER = "libx264"
CLOCK = 90_000
"""Ticks per second: fine enough for every usual rate, and what players expect."""
MUXER = {"movflags": "hybrid_fragmented+frag_keyframe+delay_moov", "flush_packets": "1"}
"""Fragments while writing, so that a killed run leaves a file that plays; an ordinary MP4 once closed."""
WAKE_S = 0.5
"""A wait without a timeout cannot be interrupted by Ctrl-C on Windows."""
HD_HEIGHT = 720
"""From here on video is BT.709, below BT.601, as players assume."""
BT709, BT601, LIMITED_RANGE = 1, 6, 1
UNKNOWN_LIVE_RATE = 30.0
"""What a camera that states no rate is taken to have."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded.

    options: of the encoder; threads: of the encoder, 0 lets it choose. muxer: options of the container.
    key_frames_s: longest time between key frames. depth: results that may wait for the encoder. watched:
    somebody sees the frames meanwhile, so the encoder stands back, and colours get the matrix of BT.601
    whatever the size, to which OpenCV converts in a fifth of FFmpeg's time; the file says so.
    """

    options: Mapping[str, str]
    threads: int
    muxer: Mapping[str, str]
    key_frames_s: float
    depth: int
    watched: bool = False


FILE_ENCODING = Encoding({"crf": "20", "preset": "veryfast", "bf": "0"}, 0, MUXER, 2.0, 4)
"""No B-frames: their delay would move the first frame from its time where the file is left unfinished."""
LIVE_ENCODING = Encoding(
    {"crf": "23", "preset": "ultrafast", "bf": "0"},
    1,
    MUXER | {"frag_duration": "500000"},
    1.0,
    16,
    watched=True,
)
"""What takes the least from a live view: a noisy 720p picture costs 4.4 ms of one core (veryfast at crf 20:
15 ms), in 6.3 Mbit/s (8.1). No frame waits in the encoder, and half a second at most in the muxer."""


class AnnotatedVideoSink:
    """Draws and encodes in a thread of its own.

    `write` waits while several results are waiting for the encoder; `offer` does not, and may be refused.
    Frame times are those of the results, so that a variable frame rate stays one. An odd width or height is
    padded by one row or column; pictures of another size than the source's are scaled into it.

    Args:
        path: MP4 file to write; its folder must exist.
        skeleton: of the people in the results.
        info: of the source the results come from.
        annotate: draw the people; otherwise the frames stay clean.
        encoding: how it is encoded: small, or with little effort.
        overwrite: replace a file that exists.

    Raises:
        SinkError: the file cannot be made, or this build of FFmpeg has no H.264 encoder.
    """

    def __init__(
        self,
        path: Path,
        skeleton: Skeleton,
        info: SourceInfo,
        *,
        annotate: bool = True,
        encoding: Encoding = FILE_ENCODING,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self._skeleton = skeleton
        self._annotate = annotate
        self._encoding = encoding
        self._size = info.size
        self._rate = info.fps or (UNKNOWN_LIVE_RATE if info.live else 1.0)
        self._frame_ticks = round(CLOCK / self._rate)
        self._last_ticks = -1
        self._next_key_ticks = 0
        self._waiting: deque[tuple[Result, float]] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._failure: SinkError | None = None
        _check_encoder()
        _make_file(path, overwrite)
        try:
            self._container = av.open(f"file:{path}", "w", format="mp4", options=dict(encoding.muxer))
            self._stream = self._add_stream()
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
            while len(self._waiting) >= self._encoding.depth and self._failure is None:
                self._changed.wait(WAKE_S)
            self._append(result, result.frame.time_s)

    def offer(self, result: Result, time_s: float | None = None) -> bool:
        """Hand over one result if the encoder is not behind; never wait.

        Args:
            result: to be written.
            time_s: its place in the video; None is the frame's own time.

        Returns:
            False where too many are waiting already: the result is not written.

        Raises:
            SinkError: an earlier result could not be written.
            ValueError: the sink is closed.
        """
        with self._changed:
            fits = len(self._waiting) < self._encoding.depth or self._failure is not None
            if fits:
                self._append(result, result.frame.time_s if time_s is None else time_s)
            return fits

    def _append(self, result: Result, time_s: float) -> None:
        """Queue a result; the lock is held."""
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise ValueError(f"the sink of {self.path} is closed")
        self._waiting.append((result, time_s))
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

    def _add_stream(self) -> av.VideoStream:
        rate = Fraction(self._rate).limit_denominator(1001)
        options = dict(self._encoding.options)
        stream = cast(av.VideoStream, self._container.add_stream(ENCODER, rate=rate, options=options))
        stream.height, stream.width = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, CLOCK)
        context.thread_count = self._encoding.threads
        context.gop_size = max(1, round(rate * self._encoding.key_frames_s))
        context.color_primaries = context.color_trc = BT709 if self._size[0] >= HD_HEIGHT else BT601
        context.colorspace = BT709 if self._hd_matrix else BT601
        context.color_range = LIMITED_RANGE
        return stream

    def _work(self) -> None:
        """Run in the thread: encode until the end, then finish the file whatever happened."""
        if self._encoding.watched:
            stand_back(BACKGROUND)
        try:
            try:
                while (item := self._next()) is not None:
                    self._container.mux(self._stream.encode(self._make_picture(*item)))
                self._container.mux(self._stream.encode())
            finally:
                self._container.close()
        except (av.FFmpegError, OSError) as error:
            self._fail(_as_sink_error(self.path, error))
        except Exception as error:  # noqa: BLE001 - top of a thread: raised again by write or close
            failure = SinkError(f"{self.path} cannot be written: {error}")
            failure.__cause__ = error
            self._fail(failure)

    def _next(self) -> tuple[Result, float] | None:
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            item = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return item

    def _fail(self, failure: SinkError) -> None:
        with self._changed:
            self._failure = failure
            self._waiting.clear()
            self._changed.notify_all()

    @property
    def _hd_matrix(self) -> bool:
        return self._size[0] >= HD_HEIGHT and not self._encoding.watched

    def _make_picture(self, result: Result, time_s: float) -> av.VideoFrame:
        image = result.frame.image
        if self._annotate:
            image = draw_people(image, result.people, self._skeleton)
        image = _pad_even(fit_image(image, self._size))
        if self._encoding.watched:
            picture = av.VideoFrame.from_ndarray(
                np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8), format="yuv420p"
            )
            picture.colorspace, picture.color_range = BT601, LIMITED_RANGE
        else:
            picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
                format="yuv420p",
                dst_colorspace="ITU709" if self._hd_matrix else "ITU601",
                dst_color_range="MPEG",
            )
        # Two frames on one tick, or a time that goes back, would end the encoding.
        self._last_ticks = max(round(time_s * CLOCK), self._last_ticks + 1)
        picture.pts, picture.time_base = self._last_ticks, Fraction(1, CLOCK)
        picture.duration = self._frame_ticks
        # The encoder counts frames, of which a live view may bring fewer per second than its source promised.
        if self._last_ticks >= self._next_key_ticks:
            picture.pict_type = PictureType.I
            self._next_key_ticks = self._last_ticks + round(self._encoding.key_frames_s * CLOCK)
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
