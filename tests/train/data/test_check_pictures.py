from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.check_pictures import check_pictures, find_unused, inspect_picture, is_cut_jpeg
from train.data.labels import ImageLabel


def picture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (9, 9), 0), np.uint8)


def encode(suffix: str, *parameters: int) -> bytes:
    return bytes(cv2.imencode(suffix, picture(), parameters)[1].tobytes())


def label(path: Path, image_id: int = 1) -> ImageLabel:
    return ImageLabel(image_id, path, "", (), np.zeros((0, 4), np.float32))


JPEGS = {
    "baseline": encode(".jpg"),
    "progressive": encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encode(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
}


@pytest.mark.parametrize("content", JPEGS.values(), ids=JPEGS.keys())
def test_a_jpeg_is_cut_wherever_it_ends_early(content: bytes) -> None:
    assert not is_cut_jpeg(content)
    assert not is_cut_jpeg(content + b"camera notes")
    for length in [3, 20, len(content) // 2, len(content) - 100, len(content) - 2, len(content) - 1]:
        assert is_cut_jpeg(content[:length])


def test_a_preview_inside_does_not_hide_the_cut() -> None:
    content = JPEGS["baseline"]
    preview = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    whole = content[:2] + preview + content[2:]
    assert not is_cut_jpeg(whole)
    assert is_cut_jpeg(whole[:-2])


def test_other_files_are_no_cut_jpegs() -> None:
    assert not is_cut_jpeg(encode(".png")[:50])
    assert not is_cut_jpeg(b"")


def test_each_fault_has_its_kind(tmp_path: Path) -> None:
    contents = {
        "cut.jpg": JPEGS["baseline"][:-500],
        "cut.png": encode(".png")[:-500],
        "text.jpg": b"<html>not found</html>",
        "empty.jpg": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    texts = {name: inspect_picture(tmp_path / name) for name in [*contents, "gone.jpg"]}
    assert {name: kind for name, (kind, _, _) in texts.items()} == dict.fromkeys(contents, "broken-image") | {
        "gone.jpg": "missing-image"
    }
    assert "the JPEG has no end" in texts["cut.jpg"][1]
    assert "is damaged or no image" in texts["cut.png"][1]
    assert "is damaged or no image" in texts["text.jpg"][1]
    assert "is empty" in texts["empty.jpg"][1]
    assert inspect_picture(tmp_path / "cut.jpg", read=False) == ("", "", None)


def test_sizes_are_compared_with_the_file(tmp_path: Path) -> None:
    for name in ("right.jpg", "wrong.jpg", "turned.jpg"):
        (tmp_path / name).write_bytes(JPEGS["baseline"])
    labels = [label(tmp_path / name, n) for n, name in enumerate(["right.jpg", "wrong.jpg", "turned.jpg"])]
    calls: list[tuple[int, int]] = []
    findings, sizes = check_pictures(
        labels,
        {0: (90, 120), 1: (180, 240), 2: (120, 90)},
        "people.json",
        read=True,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert [(f.kind, f.image_id) for f in findings] == [("wrong-size", 1), ("wrong-size", 2)]
    assert "is 120 × 90 px (width × height), the file says 240 × 180" in findings[0].text
    assert "EXIF orientation" in findings[1].text
    assert sizes == dict.fromkeys(range(3), (90, 120))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_unused_pictures_are_counted(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    names = ["a.jpg", "sub/b.PNG", "c.jpg", "d.jpg", "e.jpg", "notes.txt"]
    for name in names:
        (tmp_path / name).touch()
    (finding,) = find_unused(tmp_path, [tmp_path / "a.jpg"])
    assert finding.text == "no label names 4 pictures: c.jpg, d.jpg, e.jpg, …"
    assert find_unused(tmp_path, [tmp_path / name for name in names]) == []
    assert find_unused(tmp_path / "gone", []) == []
