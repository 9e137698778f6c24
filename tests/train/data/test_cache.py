import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import SourceError
from train.data.cache import MIB, ImageCache
from train.data.labels import read_image


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five pictures of 64 × 64 × 3 bytes, that is 12,288 each."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.jpg" for number in range(5)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return paths


def test_a_hit_returns_the_same_pixels(pictures: list[Path]) -> None:
    cache = ImageCache(1)
    first = cache.read(pictures[0])
    assert cache.read(pictures[0]) is first
    np.testing.assert_array_equal(first, read_image(pictures[0]))


def test_a_cached_picture_cannot_be_changed(pictures: list[Path]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        ImageCache(1).read(pictures[0])[0, 0] = 0


def test_the_limit_holds_and_the_least_recently_used_picture_goes(pictures: list[Path]) -> None:
    cache = ImageCache(3 * 64 * 64 * 3 / MIB)
    kept = cache.read(pictures[0])
    for path in pictures[1:]:
        cache.read(path)
        assert cache.read(pictures[0]) is kept
        assert len(cache) <= 3
        assert cache.used <= cache.limit
    assert cache.read(pictures[1]) is not cache.read(pictures[2])


def test_a_picture_larger_than_the_limit_is_read_every_time(pictures: list[Path]) -> None:
    cache = ImageCache(0)
    first, second = cache.read(pictures[0]), cache.read(pictures[0])
    assert first is not second
    assert len(cache) == cache.used == 0
    np.testing.assert_array_equal(first, second)


def test_a_copy_for_another_process_starts_empty(pictures: list[Path]) -> None:
    cache = ImageCache(1)
    cache.read(pictures[0])
    copy = pickle.loads(pickle.dumps(cache))
    assert len(copy) == 0
    assert copy.limit == cache.limit


def test_a_missing_picture_is_an_error_each_time(tmp_path: Path) -> None:
    cache = ImageCache(1)
    for _ in range(2):
        with pytest.raises(SourceError, match="missing"):
            cache.read(tmp_path / "none.jpg")
