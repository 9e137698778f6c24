"""Video files, decoded by FFmpeg through PyAV, with the timestamps they were recorded with."""

import gc
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer

from engine.errors import SourceError
from engine.settings import VideoDecoder
from engine.sources.container import choose_stream, open_container
from engine.sources.picture import fit_image, orient_image
from engine.sources.source import PrefetchedSource, ReadLog, SourceInfo
from engine.sources.timeline import LostPictures, Timeline
from engine.structures import Frame, Image

DEFAULT_RATE = Fraction(30)
"""Frames per second of a file that does not say."""
MAX_READ_FAILURES = 100
"""After so many failures in a row to find the next packet, the rest is given up."""
SEEK_BACK_S = (0.0, 2.0, 10.0, 60.0)
"""How far before the time wanted a key frame is looked for, one after the other."""


def open_video(path: Path, start_s: float = 0.0, decoder: VideoDecoder = "software") -> PrefetchedSource:
    """Open a video file, see `engine.sources.open_source`.

    Frames are upright: the display matrix (turned phones, mirrored cameras) is applied here, once. `time_s`
    is the presentation timestamp, counted from the beginning of the video stream, and follows a variable
    frame rate; `SourceInfo.start_s` is that beginning on the file's clock. Pictures that cannot be decoded,
    or only in part, are skipped, keep their place in `Frame.index`, and are named in the warnings, as is a
    file that ends before its time. A picture of another size than the first is scaled into that size,
    proportions kept. Pixels stay as stored where they are not square.

    With a `start_s` above 0, decoding starts at a key frame before it and the first frame is the one shown
    then: the last that starts before it, give or take half a frame, or the last of all. It is the same
    picture with the same time as when read from the beginning. Its index is computed, time by mean frame
    rate, which is exact for a constant rate and an estimate for a variable one. Nothing is said of damage
    before it. In recordings joined so that timestamps begin anew, only the first can be sought in.

    For `decoder` see `container.open_container`.

    Raises:
        SourceError: the file is no video, is damaged beyond use, or holds no picture.
    """
    source = _open_at(path, start_s, decoder, seek=True) or _open_at(path, start_s, decoder, seek=False)
    assert source is not None, "reading from the beginning always gives a source or an error"
    return source


def _open_at(path: Path, start_s: float, decoder: VideoDecoder, *, seek: bool) -> PrefetchedSource | None:
    """Open a video by seeking or by decoding all before; None where seeking gives no sure picture."""
    container = open_container(path, decoder)
    source: PrefetchedSource | None = None
    try:
        log = ReadLog()
        reader = _VideoReader(path, container, log)
        read = reader.read()
        first = next(read, None)
        if first is None:
            raise SourceError(
                f"{path}: none of its {log.position} pictures can be decoded; the file is damaged"
                if log.position
                else f"{path} holds a video stream without a single picture; was it recorded to its end?"
            )
        info = reader.describe(first)
        frames: Iterator[Frame] = chain([first], read)
        if start_s > 0 and seek:
            read.close()
            frames = reader.read_from(start_s)
        elif start_s > 0:
            frames = _drop_before(frames, start_s, reader)
        wanted = next(frames, None)
        if wanted is not None:
            index = wanted.index if start_s > 0 else 0
            source = PrefetchedSource(
                info, chain([wanted], frames), log, lambda: _release(container), first_index=index
            )
        return source
    finally:
        if source is None:
            container.close()


def _drop_before(frames: Iterator[Frame], start_s: float, reader: "_VideoReader") -> Iterator[Frame]:
    """Yield frames from the one shown at `start_s` on."""
    shown = next(frames)
    for frame in frames:
        if not reader.is_shown(frame.time_s, shown.time_s, start_s):
            yield shown
            shown = frame
            break
        shown = frame
    yield shown
    yield from frames


def _release(container: av.container.InputContainer) -> None:
    """Close a container and collect it: its streams and decoders refer to each other.

    Left to chance, a batch of files holds the decoders of several, each with its pool of frames: 1.8 GB after
    ten minutes of short clips instead of 0.45 GB.
    """
    container.close()
    gc.collect()


class _VideoReader:
    """Decodes one file from beginning to end."""

    def __init__(self, path: Path, container: av.container.InputContainer, log: ReadLog) -> None:
        self._path = path
        self._container = container
        self._log = log
        self._stream = choose_stream(path, container)
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
        self._display_matrix: bytes | None = None
        self._rotation: float | None = None
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
            decoder="nvdec" if self._stream.codec_context.is_hwaccel else "software",
        )

    def read(self) -> Generator[Frame, None, None]:
        """Yield the frames that can be decoded."""
        yield from self._frames((picture, self._lost.show(picture.pts)) for picture in self._pictures())

    def is_shown(self, time_s: float, before_s: float | None, wanted_s: float) -> bool:
        """Return whether a frame that starts at `time_s` is the one for `wanted_s`, not the one before it.

        A frame counts from half the distance to the one before on, so that times may be rounded.
        """
        distance_s = self._interval_s if before_s is None else min(time_s - before_s, self._interval_s)
        return time_s <= wanted_s + distance_s / 2

    def read_from(self, start_s: float) -> Iterator[Frame]:
        """Yield the frames from the one shown at a time; none where seeking gives no sure picture.

        At least one frame was read from the beginning before, which tells when time 0 is.
        """
        # Beyond the end, some containers find no key frame at all.
        near_s = min(start_s, self._duration_s() or start_s)
        for back_s in SEEK_BACK_S:
            pictures = self._pictures_near(max(0.0, near_s - back_s))
            found = self._find(pictures, start_s)
            if found or back_s >= near_s:
                break
        if not found:
            return
        index = round(self._time_of(found[0][0]) * (self._rate or DEFAULT_RATE))
        self._log.position = min(index, self._stream.frames - 1) if self._stream.frames else index
        self._log.warnings.clear()
        self._warned.clear()
        rest = ((picture, self._lost.show(picture.pts)) for picture in pictures)
        yield from self._frames(chain(found, rest))

    def _frames(self, pictures: Iterator[tuple[av.VideoFrame, int]]) -> Iterator[Frame]:
        """Yield frames of pictures, each with the number of those lost before it."""
        for picture, lost in pictures:
            frame = self._make_frame(picture, lost)
            if frame is not None:
                yield frame
        self._skip(self._lost.finish())
        self._check_end()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            yield from self._decode(packet)

    def _pictures_near(self, time_s: float) -> Iterator[av.VideoFrame]:
        """Yield the pictures from a key frame on that is, if the container knows, not after a time."""
        start, base = self._timeline.start, self._time_base
        if start is None:
            return  # There are no timestamps to find a place by.
        try:
            self._container.seek(start + int(time_s / base), stream=self._stream)
        except av.FFmpegError:
            return
        self._lost = LostPictures(float(self._interval_s / base))
        self._timeline = Timeline(base, start, self._interval_s, self._log)
        yield from self._pictures()

    def _find(self, pictures: Iterator[av.VideoFrame], wanted_s: float) -> list[tuple[av.VideoFrame, int]]:
        """Decode up to the picture wanted and one beyond, if there is one.

        Pictures shown before the first key frame may lean on others that were not decoded, and do not count.

        Returns:
            The pictures from the one wanted on, with the losses before each; empty if the first that is sure
            comes too late.
        """
        found: list[tuple[av.VideoFrame, int]] = []
        sure, before_s = False, None
        for picture in pictures:
            lost = self._lost.show(picture.pts)
            sure = sure or picture.key_frame
            if not sure or (not found and (picture.is_corrupt or picture.pts is None)):
                continue
            time_s = self._time_of(picture)
            within = picture.pts is not None and self.is_shown(time_s, before_s, wanted_s)
            before_s = time_s
            if not picture.is_corrupt and within:
                found = [(picture, 0)]
            elif found:
                found.append((picture, lost))
            if not picture.is_corrupt and not within:
                break
        return found

    def _time_of(self, picture: av.VideoFrame) -> float:
        return float(((picture.pts or 0) - (self._timeline.start or 0)) * self._time_base)

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

    def _make_frame(self, picture: av.VideoFrame, lost: int) -> Frame | None:
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
        if picture.rotation != self._rotation:
            self._rotation, self._display_matrix = picture.rotation, _display_matrix(picture)
        if self._display_matrix is not None:
            try:
                image = orient_image(image, np.frombuffer(self._display_matrix, np.int32))
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


def _display_matrix(picture: av.VideoFrame) -> bytes | None:
    """Return how a picture is to be turned, nine numbers of 4 bytes, None where it says nothing.

    To be asked where the rotation is another than before, not of every picture: one that was asked for its
    side data refers to itself and stays until the collector comes. At 240p, 100 MB of pictures wait for it
    then, and leave holes behind that grow by 50 MB in an hour.
    """
    matrix = cast(Buffer | None, picture.side_data.get("DISPLAYMATRIX"))
    return None if matrix is None else bytes(matrix)


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
