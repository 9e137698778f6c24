"""Video files, decoded by FFmpeg through PyAV, with the timestamps they were recorded with."""

import gc
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer

from engine.errors import SourceError
from engine.sources.picture import fit_image, orient_image
from engine.sources.source import PrefetchedSource, ReadLog, SourceInfo
from engine.sources.timeline import LostPictures, Timeline
from engine.structures import Frame, Image

DEFAULT_RATE = Fraction(30)
"""Frames per second of a file that does not say."""
PLAYLISTS = frozenset(("concat", "dash", "hls", "imf", "tty"))
"""Containers of text: they name other files, or draw letters."""
MAX_READ_FAILURES = 100
"""After so many failures in a row to find the next packet, the rest is given up."""


def open_video(path: Path) -> PrefetchedSource:
    """Open a video file, see `engine.sources.open_source`.

    Frames are upright: the display matrix (turned phones, mirrored cameras) is applied here, once. `time_s`
    is the presentation timestamp, counted from the beginning of the video stream, and follows a variable
    frame rate; `SourceInfo.start_s` is that beginning on the file's clock. Pictures that cannot be decoded,
    or only in part, are skipped, keep their place in `Frame.index`, and are named in the warnings, as is a
    file that ends before its time. A picture of another size than the first is scaled into that size,
    proportions kept. Pixels stay as stored where they are not square.

    Raises:
        SourceError: the file is no video, is damaged beyond use, or holds no picture.
    """
    container = _open_container(path)
    try:
        log = ReadLog()
        reader = _VideoReader(path, container, log)
        frames = reader.read()
        first = next(frames, None)
        if first is None:
            raise SourceError(
                f"{path}: none of its {log.position} pictures can be decoded; the file is damaged"
                if log.position
                else f"{path} holds a video stream without a single picture; was it recorded to its end?"
            )
        return PrefetchedSource(
            reader.describe(first), chain([first], frames), log, lambda: _release(container)
        )
    except BaseException:
        container.close()
        raise


def _release(container: av.container.InputContainer) -> None:
    """Close a container and collect it: its streams and decoders refer to each other.

    Left to chance, a batch of files holds the decoders of several, each with its pool of frames: 1.8 GB after
    ten minutes of short clips instead of 0.45 GB.
    """
    container.close()
    gc.collect()


def _open_container(path: Path) -> av.container.InputContainer:
    try:
        # "file:" keeps a colon in a name from being taken for a protocol, the whitelist a crafted file from
        # reaching into the network.
        container = av.open(f"file:{path}", container_options={"protocol_whitelist": "file"})
    except (av.InvalidDataError, av.EOFError) as error:
        raise SourceError(
            f"{path} is no video, or was cut off before the part that describes it; "
            "expected a file such as mp4, mov, mkv, avi, webm or ts"
        ) from error
    except av.FFmpegError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from error
    if set(container.format.name.split(",")) & PLAYLISTS:
        container.close()
        raise SourceError(f"{path} is text or a list of other files, no video; name the videos themselves")
    return container


class _VideoReader:
    """Decodes one file from beginning to end."""

    def __init__(self, path: Path, container: av.container.InputContainer, log: ReadLog) -> None:
        self._path = path
        self._container = container
        self._log = log
        self._stream = _choose_stream(path, container)
        # Slices, not frames: as fast on few cores (330 against 265 frames/s at 1080p on two), and an error is
        # raised for the packet that caused it.
        self._stream.thread_type = "SLICE"
        self._rate = _usable(self._stream.average_rate) or _usable(self._stream.guessed_rate)
        rate, time_base = self._rate or DEFAULT_RATE, self._stream.time_base or Fraction(1, 1000)
        self._time_base = time_base
        self._interval_s = float(1 / rate)
        self._timeline = Timeline(time_base, self._stream.start_time, self._interval_s, log)
        self._lost = LostPictures(float(1 / rate / time_base))
        self._size: tuple[int, int] | None = None
        self._end_s = 0.0
        self._warned: set[str] = set()

    def describe(self, first: Frame) -> SourceInfo:
        """Return what is known after the first frame."""
        duration_s = self._duration_s()
        count = self._stream.frames
        if not count and duration_s is not None and self._rate is not None:
            count = round(duration_s * self._rate)
        height, width = first.image.shape[:2]
        return SourceInfo(
            name=self._path.name,
            path=self._path,
            size=(height, width),
            fps=float(self._rate) if self._rate else None,
            duration_s=duration_s,
            frame_count=count or None,
            start_s=float((self._timeline.start or 0) * self._time_base),
        )

    def read(self) -> Iterator[Frame]:
        """Yield the frames that can be decoded."""
        for packet in self._packets():
            for picture in self._decode(packet):
                frame = self._make_frame(picture)
                if frame is not None:
                    yield frame
        self._skip(self._lost.finish())
        self._check_end()

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        pts = None
        if packet is not None and packet.size:
            pts = packet.pts
            if not packet.is_discard:
                self._lost.feed(pts)
        try:
            return self._stream.decode(packet)
        except av.FFmpegError:
            self._lost.refuse(pts)
            return []

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets of the stream; the last is empty or None, to drain the decoder."""
        failures = 0
        while failures < MAX_READ_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    yield packet
                return
            except av.InvalidDataError:
                failures += 1
            except av.FFmpegError as error:
                raise SourceError(
                    f"{self._path} cannot be read on after frame {self._log.position}: {error.strerror}"
                ) from error
        yield None
        self._log.miss_end(f"reading ended at frame {self._log.position}: the rest of the file is damaged")

    def _make_frame(self, picture: av.VideoFrame) -> Frame | None:
        lost = self._lost.show(picture.pts)
        # A decoder that lacks part of a picture makes it up and marks the picture.
        image = None if picture.is_corrupt else self._convert(picture)
        if image is None:
            self._skip(lost + 1)
            return None
        self._skip(lost)
        time_s = self._timeline.advance(picture.pts)
        frame = Frame(image, self._log.position, time_s)
        self._log.position += 1
        self._end_s = time_s + max(self._interval_s, float((picture.duration or 0) * self._time_base))
        return frame

    def _convert(self, picture: av.VideoFrame) -> Image | None:
        """Return the picture as upright BGR of the source's size, None where that fails."""
        try:
            image: Image = np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
        except av.FFmpegError:
            return None
        matrix = cast(Buffer | None, picture.side_data.get("DISPLAYMATRIX"))
        if matrix is not None:
            try:
                image = orient_image(image, np.frombuffer(bytes(matrix), np.int32))
            except ValueError as error:
                self._warn_once("matrix", f"{error}; pictures are left as stored")
        size = image.shape[:2]
        self._size = self._size or size
        if size != self._size:
            self._warn_once(
                f"size {size}",
                f"from frame {self._log.position} on there are pictures of {size[1]}x{size[0]}; "
                f"they are scaled into the {self._size[1]}x{self._size[0]} of the first",
            )
            image = fit_image(image, self._size)
        return image

    def _skip(self, count: int) -> None:
        if count:
            first, self._log.position = self._log.position, self._log.position + count
            which = f"picture {first} is" if count == 1 else f"pictures {first} to {first + count - 1} are"
            self._log.warn(f"{which} damaged and skipped")

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._log.warn(message)

    def _check_end(self) -> None:
        """Warn where the file promised more than there was."""
        promised_s = self._duration_s(of_stream=True)
        complete = self._stream.frames and self._log.position >= self._stream.frames
        slack_s = max(2 * self._interval_s, 0.1)
        if promised_s is not None and not complete and self._end_s < promised_s - slack_s:
            self._log.miss_end(
                f"the file is cut short: it ends after {self._end_s:.3f} s "
                f"of the {promised_s:.3f} s it promises"
            )

    def _duration_s(self, *, of_stream: bool = False) -> float | None:
        """Return what the file says of its length; `of_stream` accepts only what is said of the video."""
        stream = self._stream
        if stream.duration:
            return float(stream.duration * self._time_base)
        tag = _parse_duration(stream.metadata.get("DURATION", ""))
        if tag is not None:
            return tag
        if self._container.duration and not (of_stream and len(self._container.streams) > 1):
            return self._container.duration / av.time_base
        return None


def _choose_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    best = container.streams.best("video")
    candidates = ([best] if best is not None else []) + list(container.streams.video)
    for stream in candidates:
        # The cover of a song is a video stream too.
        if isinstance(stream, av.VideoStream) and not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise SourceError(f"{path}: its video is of a kind that this build of FFmpeg cannot decode")
            return stream
    if container.streams.audio:
        raise SourceError(f"{path} holds sound but no picture")
    raise SourceError(f"{path} holds no video; was it recorded to its end?")


def _usable(rate: Fraction | None) -> Fraction | None:
    """Return a frame rate that can be one: containers also say 0, or their time base."""
    return rate if rate is not None and 0 < rate <= 1000 else None


def _parse_duration(tag: str) -> float | None:
    """Return seconds of a Matroska tag ``hh:mm:ss.fffffffff``, None where it is none."""
    parts = tag.split(":")
    if len(parts) != 3:
        return None
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds
