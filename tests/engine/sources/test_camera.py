"""Cameras, with a driver that is played."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from engine.errors import SourceError
from engine.live_values import CameraMode
from engine.sources import camera as module
from engine.sources import live, open_source
from engine.sources.camera import Camera, CameraReader, camera_modes, list_cameras
from engine.sources.live import LiveSource

CAMERA = Camera(0, "Desk camera", "/dev/video0", cv2.CAP_V4L2)


class Driver:
    """What all fake captures share: the cameras there are, and how they behave.

    cameras: number to name. modes: sizes and fastest rates that are accepted. busy: opens, gives no picture.
    locked: cannot be opened. pictures: how many come before it is unplugged, None for ever.
    """

    def __init__(self) -> None:
        self.cameras = {0: "Desk camera"}
        self.modes = {(640, 480): 30.0, (1280, 720): 30.0}
        self.busy = self.locked = False
        self.pictures: int | None = None
        self.states_rate = True
        self.captured_ms: float | None = None
        self.asked: list[tuple[int, float]] = []
        self.open = 0

    def capture(self, number: int, backend: int) -> "FakeCapture":
        return FakeCapture(self, number, backend)

    def enumerate(self, backend: int) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(index=number, name=name, path=f"/dev/video{number}", backend=backend)
            for number, name in sorted(self.cameras.items(), reverse=True)
        ]


class FakeCapture:
    def __init__(self, driver: Driver, number: int, backend: int) -> None:
        self._driver = driver
        self._good = number in driver.cameras and not driver.locked
        self._number = number
        self._wanted = {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}
        self._size, self._rate = (640, 480), 30.0
        self._given = 0
        driver.open += self._good

    def isOpened(self) -> bool:
        return self._good

    def set(self, name: int, value: float) -> bool:
        self._driver.asked.append((name, value))
        self._wanted[name] = value
        size = (
            int(self._wanted[cv2.CAP_PROP_FRAME_WIDTH]),
            int(self._wanted[cv2.CAP_PROP_FRAME_HEIGHT]),
        )
        if size in self._driver.modes:
            self._size = size
            self._rate = min(self._wanted.get(cv2.CAP_PROP_FPS, 30.0), self._driver.modes[size])
        return True

    def get(self, name: int) -> float:
        width, height = self._size
        values = {cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height}
        if name == cv2.CAP_PROP_FPS:
            return self._rate if self._driver.states_rate else 0.0
        if name == cv2.CAP_PROP_POS_MSEC:
            return self._driver.captured_ms or 0.0
        return float(values.get(name, 0.0))

    def read(self) -> tuple[bool, np.ndarray | None]:
        driver = self._driver
        if driver.busy or self._number not in driver.cameras:
            return False, None
        if driver.pictures is not None and self._given >= driver.pictures:
            return False, None
        time.sleep(0.002)
        self._given += 1
        return True, np.full((self._size[1], self._size[0], 3), self._given % 250, np.uint8)

    def release(self) -> None:
        self._driver.open -= self._good
        self._good = False


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(module.cv2, "VideoCapture", driver.capture)
    monkeypatch.setattr(module, "enumerate_cameras", driver.enumerate)
    monkeypatch.setattr(module, "_backend", lambda: cv2.CAP_V4L2)
    monkeypatch.setattr(module, "FIRST_PICTURE_S", 0.1)
    monkeypatch.setattr(live, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(live, "LAST_RETRY_S", 0.02)
    return driver


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_cameras_are_listed_in_order_each_under_a_name_of_its_own(driver: Driver):
    driver.cameras = {2: "Webcam", 0: "Webcam", 10: "Microscope", 4: ""}
    assert [(camera.number, camera.name) for camera in list_cameras()] == [
        (0, "Webcam"), (2, "Webcam (2)"), (4, "camera 4"), (10, "Microscope")
    ]  # fmt: skip


def test_two_devices_of_one_camera_are_one(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    driver.cameras = {0: "Webcam", 1: "Webcam", 2: "Webcam"}
    monkeypatch.setattr(module, "_hardware", lambda camera: "usb 1" if camera.number < 2 else "usb 2")
    assert [(camera.number, camera.name) for camera in list_cameras()] == [(0, "Webcam"), (2, "Webcam (2)")]


@pytest.mark.parametrize("spec", ["0", "/dev/video0"])
def test_a_camera_opens_as_a_live_source_with_its_name(driver: Driver, spec: str):
    with open_source(spec) as source:
        assert isinstance(source, LiveSource)
        assert (source.info.name, source.info.size, source.info.fps) == ("Desk camera", (480, 640), 30.0)
        assert source.info.live
        frames = [next(source) for _ in range(3)]
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert all(frame.wall_time is not None for frame in frames)
    assert source.warnings == []
    assert driver.open == 0


def test_a_camera_left_its_own_mode_is_asked_for_none(driver: Driver):
    with open_source("0"):
        pass
    assert [name for name, _ in driver.asked] == [cv2.CAP_PROP_BUFFERSIZE]


def test_a_mode_is_asked_for_compressed_where_it_is_hd(driver: Driver):
    with open_source("0", camera_mode=CameraMode(1280, 720, 30.0)) as source:
        assert source.info.size == (720, 1280)
        assert source.warnings == []
    assert driver.asked[0] == (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    driver.asked.clear()
    with open_source("0", camera_mode=CameraMode(640, 480, 30.0)):
        assert cv2.CAP_PROP_FOURCC not in [name for name, _ in driver.asked]


@pytest.mark.parametrize("mode", [CameraMode(1920, 1080, 30.0), CameraMode(640, 480, 60.0)])
def test_a_refused_mode_is_said_and_what_is_given_is_used(driver: Driver, mode: CameraMode):
    with open_source("0", camera_mode=mode) as source:
        assert source.info.size == (480, 640)
        assert source.warnings == [f"Desk camera does not give {mode}; it gives 640×480, 30 fps"]


def test_a_driver_that_states_no_rate_is_not_accused_of_another(driver: Driver):
    driver.states_rate = False
    with open_source("0", camera_mode=CameraMode(640, 480, 60.0)) as source:
        assert (source.info.fps, source.warnings) == (None, [])


def test_a_number_without_a_camera_names_the_cameras_there_are(driver: Driver):
    driver.cameras = {0: "Desk camera", 2: "Microscope"}
    with pytest.raises(SourceError, match=r"no camera 5; connected: 0 \(Desk camera\), 2 \(Microscope\)"):
        open_source("5")


def test_where_no_camera_is_connected_that_is_said(driver: Driver):
    driver.cameras = {}
    with pytest.raises(SourceError, match="no camera 0: no camera is connected; plug one in"):
        open_source("0")


def test_a_camera_that_opens_and_gives_no_picture_is_in_use_elsewhere(driver: Driver):
    driver.busy = True
    with pytest.raises(SourceError, match="Desk camera was opened but gives no picture; another program may"):
        open_source("0")
    assert driver.open == 0


def test_a_camera_that_does_not_open_is_in_use_elsewhere(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.sys, "platform", "linux")
    driver.locked = True
    with pytest.raises(SourceError, match="Desk camera cannot be opened; another program may be using it"):
        open_source("0")


def test_an_unplugged_camera_is_waited_for_and_found_under_another_number(driver: Driver):
    driver.cameras = {0: "Desk camera", 2: "Microscope"}
    with open_source("2") as source:
        assert isinstance(source, LiveSource)
        next(source)
        del driver.cameras[2]
        wait_until(lambda: "Microscope is not connected; plug it in again" in source.state_message)
        assert source.state == "reconnecting"
        driver.cameras[1] = "Microscope"
        wait_until(lambda: source.state == "streaming")
        next(source)
        assert next(source).image.shape == (480, 640, 3)
        assert len(source.warnings) == 1
        assert "Microscope gives no more pictures; is it still plugged in?" in source.warnings[0]
    assert driver.open == 0


def test_a_single_picture_that_fails_is_no_loss(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    reader = CameraReader(CAMERA, None, threading.Event())
    grab = reader._grab
    answers = iter([None, None])
    monkeypatch.setattr(reader, "_grab", lambda: next(answers, grab()))
    assert reader.read() is not None
    picture = reader.read()
    assert picture is not None and picture[0].shape == (480, 640, 3)
    reader.close()


def test_the_capture_time_of_v4l2_is_used_where_it_is_one(driver: Driver):
    reader = CameraReader(CAMERA, None, threading.Event())
    now_s = time.monotonic()
    driver.captured_ms = (now_s - 0.03) * 1000
    picture = reader.read()
    assert picture is not None and picture[1] == pytest.approx(now_s - 0.03)
    driver.captured_ms = 40.0 if now_s > 10 else 1e9
    picture = reader.read()
    assert picture is not None and picture[1] is None
    reader.close()


def test_modes_are_those_that_the_driver_accepts(driver: Driver):
    driver.modes = {(640, 480): 60.0, (1280, 720): 30.0, (320, 240): 15.0}
    assert camera_modes(CAMERA) == [
        CameraMode(1280, 720, 30.0),
        CameraMode(1280, 720, 15.0),
        CameraMode(640, 480, 60.0),
        CameraMode(640, 480, 30.0),
        CameraMode(640, 480, 15.0),
        CameraMode(320, 240, 15.0),
    ]
    assert driver.open == 0


def test_modes_of_a_driver_that_states_no_rate_are_taken_to_run_at_thirty(driver: Driver):
    driver.states_rate = False
    assert camera_modes(CAMERA) == [CameraMode(1280, 720, 30.0), CameraMode(640, 480, 30.0)]


def test_modes_of_a_camera_that_cannot_be_opened_are_an_error(driver: Driver):
    driver.locked = True
    with pytest.raises(SourceError, match="Desk camera"):
        camera_modes(CAMERA)
