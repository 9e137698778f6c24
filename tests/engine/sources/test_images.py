import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import SourceError
from engine.sources import open_source
from engine.sources.images import natural_key
from engine.structures import Image


@pytest.fixture
def folder(tmp_path: Path, image_folder: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(image_folder, tmp_path / "images"))


def save(path: Path, size: tuple[int, int], grey: int = 90) -> None:
    assert cv2.imwrite(str(path), np.full((*size, 3), grey, np.uint8))


def test_images_come_in_natural_order_at_the_rate_given(
    image_folder: Path, grey_index: Callable[[Image], int]
):
    with open_source(image_folder, fps=8) as source:
        assert (source.info.name, source.info.size) == ("images", (48, 64))
        assert (source.info.fps, source.info.duration_s, source.info.frame_count) == (8, 1.5, 12)
        frames = list(source)
    assert [grey_index(frame.image) for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == [index / 8 for index in range(12)]


def test_numbers_in_names_count_as_numbers():
    names = ["a10b2.png", "a2.png", "A1.png", "a10b10.png", "b.png", "007.png", "7a.png", "30.png"]
    ordered = sorted((Path(name) for name in names), key=natural_key)
    assert [path.name for path in ordered] == [
        "007.png", "7a.png", "30.png", "A1.png", "a2.png", "a10b2.png", "a10b10.png", "b.png"
    ]  # fmt: skip


def test_other_files_hidden_files_and_folders_are_passed_over(folder: Path):
    (folder / "notes.txt").write_text("not an image")
    (folder / "._frame1.png").write_bytes(b"what one system leaves behind on another")
    (folder / "deeper.png").mkdir()
    with open_source(folder) as source:
        assert len(list(source)) == source.info.frame_count == 12


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "cut short"])
def test_an_unreadable_image_is_skipped_and_keeps_its_place(folder: Path, content: bytes | None):
    spoilt = folder / "frame4.png"
    spoilt.write_bytes(spoilt.read_bytes()[:300] if content is None else content)
    with open_source(folder, fps=10) as source:
        frames = list(source)
        assert [frame.index for frame in frames] == [0, 1, 2, *range(4, 12)]
        assert frames[3].time_s == pytest.approx(0.4)
        assert (source.frames_read, source.frames_dropped) == (11, 1)
        assert source.warnings == [f"{spoilt} is no image that can be read; skipped"]


def test_unreadable_images_at_both_ends_are_counted(folder: Path):
    for number in (1, 12):
        (folder / f"frame{number}.png").write_bytes(b"no image")
    with open_source(folder) as source:
        assert [frame.index for frame in source] == list(range(1, 11))
        assert (source.frames_read, source.frames_dropped) == (10, 2)


def test_a_folder_without_an_image_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(SourceError, match="the folder holds no image"):
        open_source(tmp_path)


def test_a_folder_without_a_readable_image_is_refused(tmp_path: Path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(SourceError, match="none of its 3 images can be read"):
        open_source(tmp_path)


def test_an_image_of_another_size_is_scaled_into_the_first_of_its_sequence(tmp_path: Path):
    save(tmp_path / "1.png", (40, 60))
    save(tmp_path / "2.png", (80, 80))
    with open_source(tmp_path) as source:
        first, second = source
        assert first.image.shape == second.image.shape == (40, 60, 3)
        # Proportions kept: 40 columns of picture between 10 black ones on either side.
        assert second.image[20, :, 0].tolist() == [0] * 10 + [90] * 40 + [0] * 10
        assert source.warnings == [
            "2.png is 80x80, the first image 60x40; it is scaled into that size"
        ]  # fmt: skip


def test_stills_keep_their_sizes_and_are_numbered_by_time(tmp_path: Path):
    save(tmp_path / "1.png", (40, 60))
    save(tmp_path / "2.png", (80, 80))
    with open_source(tmp_path, stills=True) as source:
        assert source.info.stills
        assert (source.info.fps, source.info.duration_s) == (None, None)
        frames = list(source)
        assert [frame.image.shape for frame in frames] == [(40, 60, 3), (80, 80, 3)]
        assert [frame.time_s for frame in frames] == [0.0, 1.0]
        assert source.warnings == []


def test_a_single_image_is_a_still(image_folder: Path):
    with open_source(image_folder / "frame3.png") as source:
        assert source.info.stills
        assert source.info.name == "frame3.png"
        assert len(list(source)) == 1


def test_the_orientation_a_camera_noted_is_applied(tmp_path: Path):
    image = np.zeros((40, 80, 3), np.uint8)
    image[:20, :40] = (0, 0, 255)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    # Orientation 6: to be turned a quarter clockwise, so that the top left goes to the top right.
    tag = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    exif = b"\xff\xe1" + (len(tag) + 8).to_bytes(2, "big") + b"Exif\0\0" + tag
    (tmp_path / "1.jpg").write_bytes(data[:2] + exif + data[2:])
    with open_source(tmp_path) as source:
        assert source.info.size == (80, 40)
        upright = next(iter(source)).image
        assert upright[10, -10, 2] > 200
        assert upright[10, 10, 2] < 50


def test_grey_transparent_and_deep_images_become_three_bytes(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "1.png"), np.full((20, 30), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.full((20, 30, 4), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "3.png"), np.full((20, 30, 3), 200 * 257, np.uint16))
    with open_source(tmp_path) as source:
        for frame in source:
            assert frame.image.dtype == np.uint8
            assert (frame.image == 200).all()


def test_names_outside_the_latin_alphabet_can_be_read(tmp_path: Path):
    cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tofile(tmp_path / "画像1.png")
    with open_source(tmp_path) as source:
        assert len(list(source)) == 1


@pytest.mark.parametrize(
    ("start_s", "first"), [(0.0, 0), (0.04, 0), (0.06, 1), (0.7, 7), (1.1, 11), (99.0, 11)]
)
def test_a_sequence_starts_at_the_image_nearest_to_a_time(
    image_folder: Path, grey_index: Callable[[Image], int], start_s: float, first: int
):
    with open_source(image_folder, fps=10, start_s=start_s) as source:
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(first, 12))
        assert (frames[0].time_s, grey_index(frames[0].image)) == (first / 10, first)
        assert (source.frames_dropped, source.info.frame_count) == (0, 12)


def test_a_sequence_started_in_the_middle_has_the_size_of_its_first_image(tmp_path: Path):
    save(tmp_path / "1.png", (40, 60))
    save(tmp_path / "2.png", (20, 30))
    with open_source(tmp_path, fps=1, start_s=1.0) as source:
        assert source.info.size == (40, 60)
        assert next(iter(source)).image.shape == (40, 60, 3)


def test_a_start_at_images_that_cannot_be_read_falls_back_to_the_last_that_can(folder: Path):
    for number in (11, 12):
        (folder / f"frame{number}.png").write_bytes(b"no image")
    with open_source(folder, fps=10, start_s=5.0) as source:
        assert [frame.index for frame in source] == [9]
        assert source.frames_dropped == 2
