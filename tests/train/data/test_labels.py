from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import SourceError, UsageError
from train.data.labels import mean_area, read_image, read_json


def picture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (9, 9), 0), np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_picture_that_was_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole{suffix}"
    cv2.imwrite(str(path), picture())
    assert read_image(path).shape == (90, 120, 3)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.98):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(SourceError, match="is damaged, cut off or no image"):
            read_image(path)


def test_a_missing_or_empty_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.jpg is missing"):
        read_image(tmp_path / "gone.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(SourceError, match=r"empty\.jpg is damaged"):
        read_image(tmp_path / "empty.jpg")


def test_the_stored_orientation_is_kept(tmp_path: Path) -> None:
    _, encoded = cv2.imencode(".jpg", picture())
    content = encoded.tobytes()
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag
    path = tmp_path / "turned.jpg"
    path.write_bytes(content[:2] + segment + content[2:])
    assert cv2.imread(str(path)).shape == (120, 90, 3)
    assert read_image(path).shape == (90, 120, 3)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(UsageError, match=r"x\.json is not a list of things: it is no JSON"):
        read_json(path, "list of things")
    with pytest.raises(UsageError, match=r"none\.json does not exist; give a list of things"):
        read_json(tmp_path / "none.json", "list of things")


def test_the_area_of_a_box_is_cocos_share() -> None:
    assert mean_area(np.array([10, 10, 30, 20], np.float32)) == pytest.approx(106)
