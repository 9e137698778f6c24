import numpy as np
import pytest

from engine.cuda.device import DeviceTensor
from engine.device.frames import FrameRing, Slot, close_all
from engine.errors import DeviceError
from tests.engine.cuda.shim_device import ShimDevice


def picture(seed: int, size: tuple[int, int] = (6, 10)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def there(device: ShimDevice, view: np.void) -> np.ndarray:
    """What the device has of a frame, as its view describes it."""
    height, width, pitch = (int(view[name]) for name in ("height", "width", "pitch"))
    rows = device.view(DeviceTensor(int(view["pixels"]), (height, pitch), np.dtype(np.uint8)))
    return rows[:, : 3 * width].reshape(height, width, 3).copy()


class Reading:
    """Work on the ring's stream that keeps what it sees of a slot."""

    def __init__(self, ring: FrameRing, slot: Slot) -> None:
        self.seen: np.ndarray | None = None
        view = slot.view[0].copy()
        ring.stream.call(lambda: setattr(self, "seen", there(ring.device, view)))
        ring.mark_used(slot)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_frame_is_on_the_device_once_the_work_on_it_begins(lazy: bool) -> None:
    device = ShimDevice(lazy=lazy)
    ring = FrameRing(device)
    image = picture(0)
    reading = Reading(ring, ring.put(image))
    ring.stream.synchronize()
    np.testing.assert_array_equal(reading.seen, image)
    ring.close()
    assert device.left_open() == []


def test_a_frame_is_uploaded_once_whoever_asks(ring: FrameRing) -> None:
    image = picture(0)
    first = ring.put(image)
    assert ring.put(image) is first and ring.uploads == 1
    assert ring.put(image.copy()) is not first and ring.uploads == 2


def test_the_frame_announced_is_uploaded_ahead_and_not_again(ring: FrameRing) -> None:
    now, then = picture(0), picture(1)
    ring.announce(then)
    reading = Reading(ring, ring.put(now))
    ring.work_ahead()
    assert ring.uploads == 2
    ring.stream.synchronize()
    np.testing.assert_array_equal(reading.seen, now)
    reading = Reading(ring, ring.put(then))
    ring.work_ahead()
    ring.stream.synchronize()
    np.testing.assert_array_equal(reading.seen, then)
    assert ring.uploads == 2


def test_a_frame_that_was_announced_may_stay_away(ring: FrameRing) -> None:
    ring.announce(picture(1))
    ring.put(picture(0))
    ring.work_ahead()
    image = picture(2)
    reading = Reading(ring, ring.put(image))
    ring.stream.synchronize()
    np.testing.assert_array_equal(reading.seen, image)


def test_the_finder_and_the_crops_share_a_frame_though_the_next_one_came_between(ring: FrameRing) -> None:
    now, then = picture(0), picture(1)
    ring.announce(then)
    slot = ring.put(now)
    ring.mark_used(slot)
    ring.work_ahead()
    assert ring.put(now) is slot and ring.uploads == 2


def test_no_frame_is_overwritten_while_work_on_it_waits(ring: FrameRing) -> None:
    images = [picture(seed) for seed in range(7)]
    readings = [Reading(ring, ring.put(image)) for image in images]
    assert any(reading.seen is None for reading in readings)  # nobody waited for all of them
    ring.stream.synchronize()
    for image, reading in zip(images, readings, strict=True):
        np.testing.assert_array_equal(reading.seen, image)


@pytest.mark.parametrize("sizes", [[(4, 4), (30, 40), (6, 10)], [(30, 40), (4, 4), (31, 40)]])
def test_frames_of_changing_size_follow_each_other(sizes: list[tuple[int, int]], ring: FrameRing) -> None:
    images = [picture(number, size) for number, size in enumerate(sizes * 3)]
    readings = [Reading(ring, ring.put(image)) for image in images]
    ring.stream.synchronize()
    for image, reading in zip(images, readings, strict=True):
        np.testing.assert_array_equal(reading.seen, image)


def test_a_picture_need_not_lie_in_one_piece(ring: FrameRing) -> None:
    image = picture(0, (8, 12))[1:7, ::-2]
    reading = Reading(ring, ring.put(image))
    ring.stream.synchronize()
    np.testing.assert_array_equal(reading.seen, image)


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(bad: np.ndarray, ring: FrameRing) -> None:
    with pytest.raises(ValueError, match="image must be"):
        ring.put(bad)


def test_a_frame_that_does_not_fit_is_an_error_and_a_smaller_one_follows() -> None:
    device = ShimDevice(memory_bytes=1000)
    ring = FrameRing(device)
    with pytest.raises(DeviceError, match="out of memory"):
        ring.put(picture(0, (100, 100)))
    image = picture(1)
    reading = Reading(ring, ring.put(image))
    ring.stream.synchronize()
    np.testing.assert_array_equal(reading.seen, image)
    ring.close()
    assert device.left_open() == []


def test_everything_is_freed_though_something_cannot_be(caplog: pytest.LogCaptureFixture) -> None:
    freed = []

    def lost() -> None:
        raise DeviceError("the GPU was lost")

    close_all(lambda: freed.append("first"), lost, lambda: freed.append("last"))
    assert freed == ["first", "last"] and "could not free what it held: the GPU was lost" in caplog.text
