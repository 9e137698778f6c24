"""Cameras: which there are, what they can do, and their pictures, by OpenCV.

OpenCV is here for images anyway and speaks to V4L2, DirectShow and AVFoundation alike. QtMultimedia would
need PySide6-Addons, 160 to 440 MB. OpenCV knows no names of cameras; cv2-enumerate-cameras does, in 100 kB.
"""

import os
import re
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2_enumerate_cameras import enumerate_cameras

from engine.errors import SourceError
from engine.sources.live import Opener
from engine.sources.source import CameraMode
from engine.structures import Image

USUAL_SIZES = (
    (320, 240), (640, 360), (640, 480), (800, 600), (1280, 720), (1280, 960), (1920, 1080), (2560, 1440),
    (3840, 2160),
)  # fmt: skip
"""(width, height), px."""
USUAL_RATES = (15.0, 30.0, 60.0)
RATE_SLACK = 1.0
"""Frames per second between a rate asked for and one given that are still the same: 29.97 is 30."""
HD_HEIGHT = 720
"""From here on USB 2 is too slow for 30 plain pictures a second; compressed ones pass."""
FIRST_PICTURE_S = 4.0
MAX_FAILURES = 5
"""Reads that fail in a row before a camera counts as lost; a single one happens at any time."""
RETRY_S = 0.02

_BACKENDS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
_ELSEWHERE = "another program may be using it; close that program and try again"


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine.

    number: what OpenCV calls it; name: what people call it; path: what the system calls it, the same each
    time it is plugged in, None where that is not known; backend: one of OpenCV's ``CAP_…``.
    """

    number: int
    name: str
    path: str | None
    backend: int


def list_cameras() -> list[Camera]:
    """Return the cameras that are connected, in the order of their numbers, each under a name of its own.

    A camera may have several devices on Linux; the first that gives pictures stands for it.
    """
    cameras: dict[str, Camera] = {}
    for found in sorted(_enumerate(), key=lambda info: info.index):
        camera = Camera(int(found.index), str(found.name or f"camera {found.index}"), found.path, _backend())
        cameras.setdefault(_hardware(camera), camera)
    return _tell_apart(list(cameras.values()))


def camera_modes(camera: Camera) -> list[CameraMode]:
    """Return the modes that a camera accepts, the largest first and the fastest first of one size.

    OpenCV lists no modes, so usual sizes and rates are tried one after the other and what the driver then
    says it will do is kept: that works with every driver alike and needs nothing more. It takes up to a few
    seconds, and the camera must not be in use.

    Raises:
        SourceError: the camera cannot be opened.
    """
    capture = _open_capture(camera)
    try:
        capture.set(cv2.CAP_PROP_FOURCC, _MJPG)
        modes: set[CameraMode] = set()
        for width, height in USUAL_SIZES:
            mode = _try_mode(capture, CameraMode(width, height, USUAL_RATES[0]))
            if mode is not None:
                modes |= _rates_of(capture, mode)
    finally:
        capture.release()
    return sorted(modes, key=lambda mode: (mode.width * mode.height, mode.width, mode.fps), reverse=True)


class CameraReader:
    """A camera that is open and gives pictures.

    Args:
        camera: which one.
        mode: what is wanted of it; what it gives instead is used, and said in the warnings.
        stop: set when nothing more is wanted.

    Raises:
        SourceError: it is not there, in use, or gives no picture.
    """

    def __init__(self, camera: Camera, mode: CameraMode | None, stop: threading.Event) -> None:
        self.warnings: list[str] = []
        self._camera = camera
        self._stop = stop
        self._capture = _open_capture(camera)
        try:
            if mode is not None:
                _ask_mode(self._capture, mode)
            # More would be pictures that are old before they are seen.
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            self._first: Image | None = self._wait_for_picture()
        except BaseException:
            self._capture.release()
            raise
        self.fps = _rate(self._capture)
        if mode is not None and self._first is not None:
            self._compare(mode, self._first)

    def read(self) -> tuple[Image, float | None] | None:
        """Wait for the next picture; see `engine.sources.live.Reader`."""
        image, self._first = self._first, None
        for _ in range(MAX_FAILURES):
            if image is not None:
                return image, self._captured_s()
            if self._stop.is_set():
                return None
            image = self._grab()
            if image is None:
                self._stop.wait(RETRY_S)
        raise SourceError(f"{self._camera.name} gives no more pictures; is it still plugged in?")

    def close(self) -> None:
        """Free the camera."""
        self._capture.release()

    def _grab(self) -> Image | None:
        good, image = self._capture.read()
        return np.asarray(image, np.uint8) if good and image is not None and image.ndim == 3 else None

    def _wait_for_picture(self) -> Image | None:
        """Return the first picture; cameras need a moment to start. None when stopped meanwhile."""
        deadline_s = time.monotonic() + FIRST_PICTURE_S
        while not self._stop.is_set():
            image = self._grab()
            if image is not None:
                return image
            if time.monotonic() > deadline_s:
                raise SourceError(f"{self._camera.name} was opened but gives no picture; {_ELSEWHERE}")
            self._stop.wait(RETRY_S)
        return None

    def _captured_s(self) -> float | None:
        """Return when the last picture was taken, which V4L2 notes by the same clock as we use."""
        if self._camera.backend != cv2.CAP_V4L2:
            return None
        noted_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        return noted_s if 0 <= time.monotonic() - noted_s < 1 else None

    def _compare(self, mode: CameraMode, image: Image) -> None:
        height, width = image.shape[:2]
        same_rate = self.fps is None or abs(self.fps - mode.fps) <= RATE_SLACK
        if (width, height) != (mode.width, mode.height) or not same_rate:
            given = CameraMode(width, height, self.fps or mode.fps)
            self.warnings.append(f"{self._camera.name} does not give {mode}; it gives {given}")


def camera_opener(spec: str, mode: CameraMode | None = None) -> tuple[str, Opener]:
    """Find a camera.

    Args:
        spec: a number as `list_cameras` has it, or ``/dev/video`` with it.
        mode: what is wanted of the camera; None leaves it its own.

    Returns:
        Its name, and what opens it. Opened again after it was unplugged, it is looked for by path and name,
        since it may have another number by then, and another camera may have its old one.

    Raises:
        SourceError: there is no camera of that number.
    """
    number = int(spec.removeprefix("/dev/video"))
    cameras = list_cameras()
    camera = next((camera for camera in cameras if camera.number == number), None)
    if camera is None and not cameras and _device(number).exists():
        # Listed nowhere, as for a device made by a program; OpenCV may open it all the same.
        camera = Camera(number, f"camera {number}", None, _backend())
    if camera is None:
        raise SourceError(_missing(number, cameras))
    chosen = camera
    return chosen.name, lambda stop: CameraReader(_find_again(chosen), mode, stop)


def _find_again(camera: Camera) -> Camera:
    cameras = list_cameras()
    alike = [other for other in cameras if _plain_name(other) == _plain_name(camera)]
    if alike:
        return next((other for other in alike if other.path == camera.path), alike[0])
    if camera.path is None and _device(camera.number).exists():
        return camera
    raise SourceError(f"{camera.name} is not connected; plug it in again")


def _missing(number: int, cameras: list[Camera]) -> str:
    if not cameras:
        return f"there is no camera {number}: no camera is connected; plug one in, or open a video file"
    names = ", ".join(f"{camera.number} ({camera.name})" for camera in cameras)
    return f"there is no camera {number}; connected: {names}"


def _open_capture(camera: Camera) -> Any:
    """Return an open ``cv2.VideoCapture``."""
    _quiet_opencv()
    capture = cv2.VideoCapture(camera.number, camera.backend)
    if capture.isOpened():
        return capture
    capture.release()
    device = _device(camera.number)
    if device.exists() and not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"{camera.name} may not be opened by this user; add the user to the owners of {device} "
            "(usually the group 'video') and log in again"
        )
    if sys.platform == "darwin":
        raise SourceError(
            f"{camera.name} cannot be opened; allow this program the camera in System Settings, Privacy, or "
            + _ELSEWHERE
        )
    raise SourceError(f"{camera.name} cannot be opened; {_ELSEWHERE}")


def _ask_mode(capture: Any, mode: CameraMode) -> None:
    if mode.height >= HD_HEIGHT:
        capture.set(cv2.CAP_PROP_FOURCC, _MJPG)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, mode.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.height)
    capture.set(cv2.CAP_PROP_FPS, mode.fps)


def _try_mode(capture: Any, mode: CameraMode) -> CameraMode | None:
    """Ask for a mode and return what the driver makes of it, None if that is another size."""
    _ask_mode(capture, mode)
    size = (round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    if size != (mode.width, mode.height):
        return None
    rate = _rate(capture)
    return mode if rate is None else replace(mode, fps=round(rate, 2))


def _rates_of(capture: Any, mode: CameraMode) -> set[CameraMode]:
    """Return a mode and the others of its size; a driver that states no rate is taken to run at 30."""
    if _rate(capture) is None:
        return {replace(mode, fps=30.0)}
    tried = (_try_mode(capture, replace(mode, fps=rate)) for rate in USUAL_RATES[1:])
    return {mode} | {other for other in tried if other is not None}


def _rate(capture: Any) -> float | None:
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 0 < rate <= 1000 else None


def _enumerate() -> list[Any]:
    """Return what the system lists; with one backend, since the others list the same cameras again."""
    try:
        return list(enumerate_cameras(_backend()))
    except (NotImplementedError, OSError):
        return []


def _backend() -> int:
    return int(_BACKENDS.get(sys.platform, cv2.CAP_ANY))


def _device(number: int) -> Path:
    return Path(f"/dev/video{number}")


def _hardware(camera: Camera) -> str:
    """Return what two devices of one camera have in common."""
    device = Path(f"/sys/class/video4linux/video{camera.number}/device")
    if camera.backend == cv2.CAP_V4L2 and device.exists():
        return str(device.resolve())
    return f"{camera.path} {camera.number}"


def _tell_apart(cameras: list[Camera]) -> list[Camera]:
    """Number the later ones of cameras with the same name."""
    seen: dict[str, int] = {}
    for place, camera in enumerate(cameras):
        seen[camera.name] = seen.get(camera.name, 0) + 1
        if seen[camera.name] > 1:
            cameras[place] = replace(camera, name=f"{camera.name} ({seen[camera.name]})")
    return cameras


def _plain_name(camera: Camera) -> str:
    return re.sub(r" \(\d+\)$", "", camera.name)


def _quiet_opencv() -> None:
    """Keep OpenCV from writing to stderr what is raised here in words, unless the user asked it to."""
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


_MJPG = float(cv2.VideoWriter.fourcc(*"MJPG"))
