"""Opening a video file: its container, its video stream, and the decoder, in software or on the GPU."""

import logging
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel

from engine.errors import SourceError
from engine.settings import VideoDecoder

LOGGER = logging.getLogger(__name__)

PLAYLISTS = frozenset(("concat", "dash", "hls", "imf", "tty"))
"""Containers of text: they name other files, or draw letters."""


def open_container(path: Path, decoder: VideoDecoder = "software") -> av.container.InputContainer:
    """Open a video file.

    Args:
        path: a file that exists and can be read.
        decoder: "nvdec" decodes on an NVIDIA GPU and brings the pictures back into the computer's memory;
            "auto" does so where there is a GPU that can, else in software.

    Raises:
        SourceError: the file is no video, or "nvdec" was asked for and cannot be had for it.
    """
    if decoder == "software":
        return _open(path)
    try:
        container = _open(path, HWAccel("cuda", allow_software_fallback=True))
    except SourceError:
        # Opened again without the GPU, to tell a file that is at fault from a GPU that cannot be had.
        container = _open(path)
    if any(stream.codec_context and stream.codec_context.is_hwaccel for stream in container.streams.video):
        LOGGER.info("%s is decoded on the GPU", path.name)
        return container
    codecs = ", ".join(sorted({s.codec_context.name for s in container.streams.video if s.codec_context}))
    if decoder == "nvdec":
        container.close()
        raise SourceError(
            f"{path} cannot be decoded on an NVIDIA GPU: there is none, its driver cannot be used, or it "
            f"does not know {codecs or 'this codec'}; choose the decoder software or auto"
        )
    LOGGER.info("%s (%s) is decoded in software: no NVIDIA GPU can be used for it", path.name, codecs)
    return container


def choose_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Return the video stream to follow people in.

    Raises:
        SourceError: there is none, or this build of FFmpeg cannot decode it.
    """
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


def _open(path: Path, hwaccel: HWAccel | None = None) -> av.container.InputContainer:
    try:
        # "file:" keeps a colon in a name from being taken for a protocol, the whitelist a crafted file from
        # reaching into the network.
        container = av.open(f"file:{path}", container_options={"protocol_whitelist": "file"}, hwaccel=hwaccel)
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
