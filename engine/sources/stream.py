"""Network streams and named pipes, decoded by FFmpeg through PyAV with as little delay as it can.

Everything that FFmpeg opens by address: RTSP, RTMP, SRT, UDP, TCP, and over HTTP both MJPEG and containers.
"""

import os
import select
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from engine.errors import SourceError
from engine.sources.address import mask_address, scheme_of
from engine.structures import Image

OPEN_TIMEOUT_S = 5.0
STALL_TIMEOUT_S = 5.0
"""A stream that sends nothing for so long is lost."""
WRITER_TIMEOUT_S = 8.0
"""Longest wait for somebody to write into a pipe."""
POLL_S = 0.1
"""How often a wait for a pipe looks whether the source was closed."""

# Without these FFmpeg collects seconds of pictures before it hands out the first.
_LOW_DELAY = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "500000", "analyzeduration": "500000"}
# Not "file": what a server sends must not make us read files here.
_NETWORK = {
    "protocol_whitelist": "http,https,tcp,tls,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,srt,crypto,httpproxy"
}
_OF_SCHEME = {
    "rtsp": {"rtsp_transport": "tcp"},
    "rtsps": {"rtsp_transport": "tcp"},
    "udp": {"overrun_nonfatal": "1"},
}


class StreamReader:
    """One connection to a stream, decoded as it arrives.

    A recording that a server hands out, which says how long it is, is played at its own pace.

    Args:
        name: what messages call it.
        container: the open stream.
        stop: set when nothing more is wanted.
    """

    def __init__(
        self,
        name: str,
        container: av.container.InputContainer,
        stop: threading.Event,
        pipe: "Pipe | None" = None,
    ) -> None:
        self.warnings: list[str] = []
        self._name = name
        self._container = container
        self._stop = stop
        self._pipe = pipe
        self._stream = _choose_stream(name, container)
        # Threads that each decode a frame would hold back as many frames.
        self._stream.thread_type = "SLICE"
        self._stream.codec_context.flags |= Flags.low_delay.value
        self._pictures = self._decode()
        self._paced_from_s: float | None = None

    @property
    def fps(self) -> float | None:
        """Frames per second that the stream states; FFmpeg makes one up for pictures sent one by one."""
        if self._container.format.name in ("mpjpeg", "mjpeg"):
            return None
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate is not None and 0 < rate <= 240 else None

    def read(self) -> tuple[Image, float | None] | None:
        """Wait for the next picture; see `engine.sources.live.Reader`."""
        picture = next(self._pictures, None)
        if picture is None:
            return None
        if self._container.duration and picture.time is not None:
            self._keep_pace(picture.time)
        return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8), None

    def close(self) -> None:
        """Close the connection."""
        self._pictures.close()
        self._container.close()
        if self._pipe is not None:
            self._pipe.close()

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Yield whole pictures; those damaged on the way, or joined in the middle, are passed over."""
        packets = self._container.demux(self._stream)
        while not self._stop.is_set():
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                if self._stop.is_set():
                    return
                raise SourceError(f"{self._name} was lost: {_explain(error)}") from error
            if packet is None:
                return
            try:
                pictures = self._stream.decode(packet)
            except av.FFmpegError:
                continue
            yield from (picture for picture in pictures if not picture.is_corrupt)

    def _keep_pace(self, time_s: float) -> None:
        now_s = time.monotonic()
        if self._paced_from_s is None:
            self._paced_from_s = now_s - time_s
        self._stop.wait(max(0.0, self._paced_from_s + time_s - now_s))


class Pipe:
    """A named pipe as a file to read, which waits without holding up a close.

    Args:
        path: of the pipe.
        stop: set when nothing more is wanted; reading then ends.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, stop: threading.Event) -> None:
        self.waited_in_vain = False
        self._stop = stop
        self._begun = self._ended = False
        # Opened to block, it would wait for a writer where nothing can wake it.
        self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end: the writer left, nothing came for long, or stopped."""
        deadline_s = time.monotonic() + (STALL_TIMEOUT_S if self._begun else WRITER_TIMEOUT_S)
        while not self._ended and not self._stop.is_set() and time.monotonic() < deadline_s:
            if not select.select([self._handle], [], [], POLL_S)[0]:
                continue
            data = os.read(self._handle, size)
            if data or self._begun:
                self._begun, self._ended = True, not data
                return data
            # No writer yet: the pipe says "end" again and again.
            self._stop.wait(POLL_S)
        # FFmpeg asks more than once whether this is really the end.
        self._ended = True
        self.waited_in_vain = not self._begun
        return b""

    def close(self) -> None:
        """Let go of the pipe; may be called more than once."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def open_stream(address: str, stop: threading.Event) -> StreamReader:
    """Connect to a network stream.

    Raises:
        SourceError: nothing answers, access is denied, or what is sent is no video.
    """
    name = mask_address(address)
    options = _LOW_DELAY | _NETWORK | _OF_SCHEME.get(scheme_of(address) or "", {})
    try:
        container = av.open(address, options=options, timeout=(OPEN_TIMEOUT_S, STALL_TIMEOUT_S))
    except (av.FFmpegError, ValueError) as error:
        raise SourceError(f"{name} cannot be opened: {_explain(error)}") from None
    return _start(name, container, stop, None)


def open_pipe(path: Path, stop: threading.Event) -> StreamReader:
    """Open a named pipe (FIFO) into which somebody writes video, such as MPEG-TS or MJPEG.

    Raises:
        SourceError: nobody writes into it, or what is written is no video.
    """
    try:
        pipe = Pipe(path, stop)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        container = av.open(pipe, "r", options=_LOW_DELAY, buffer_size=4096)
    except av.FFmpegError as error:
        pipe.close()
        if pipe.waited_in_vain:
            raise SourceError(
                f"nothing is written into the pipe {path}; start the program that writes"
            ) from None
        raise SourceError(f"what is written into the pipe {path} is no video: {_explain(error)}") from error
    return _start(str(path), container, stop, pipe)


def _start(
    name: str, container: av.container.InputContainer, stop: threading.Event, pipe: Pipe | None
) -> StreamReader:
    try:
        return StreamReader(name, container, stop, pipe)
    except BaseException:
        container.close()
        if pipe is not None:
            pipe.close()
        raise


def _choose_stream(name: str, container: av.container.InputContainer) -> av.VideoStream:
    stream: Any = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise SourceError(f"{name} sends no video that this build of FFmpeg can decode")
    return stream


def _explain(error: Exception) -> str:
    """Return why in words, without the address: it may hold a password."""
    if isinstance(error, av.ExitError):
        return f"nothing came for {STALL_TIMEOUT_S:g} s; check the address and the network"
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return "the user name or password is wrong or missing; write rtsp://user:password@address"
    if isinstance(error, av.HTTPNotFoundError):
        return "there is no such stream at this address; check what follows the host's name"
    if isinstance(error, av.InvalidDataError):
        return "what it sends is no video that can be read"
    if isinstance(error, av.FFmpegError):
        return (error.strerror or type(error).__name__).lower()
    return "the address makes no sense"
