"""The published bottom-up test finds marker people where they are, at any scale, mirrored or not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from engine.model import Model, open_model
from train.published_bottom_up import estimate_published


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, write_marker_model: Callable[..., Path]) -> Model:
    path = tmp_path_factory.mktemp("published") / "net.onnx"
    write_marker_model(path, "bottom-up", convention="hrnet", decoder="quarter")
    return open_model(path)


@pytest.fixture
def picture(marker_folder: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(marker_folder / "0000.png")), np.uint8)


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0), (0.5, 1.0, 2.0)])
def test_people_are_found_where_they_are(
    network: Model, picture: np.ndarray, walking_pair, flip_test: bool, scales: Sequence[float]
) -> None:
    people = estimate_published(network, picture, flip_test=flip_test, scales=scales)
    assert len(people) == 2
    found = sorted((p.keypoints for p in people), key=lambda points: points[0, 0])
    np.testing.assert_allclose(found, walking_pair(0), atol=4)
    assert all(0 < p.score <= 1 and (p.scores <= 1).all() for p in people)


@pytest.mark.parametrize(("scales", "message"), [((0.5, 2.0), "1 among several"), ((0.0,), "positive")])
def test_scales_without_tags_are_refused(network: Model, picture, scales, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        estimate_published(network, picture, scales=scales)


def test_a_scale_that_fits_no_network_is_refused(network: Model, picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        estimate_published(network, picture, scales=(1.0, 1.3))


def test_a_network_without_tags_is_refused(top_down_file: Path, picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="dynamic size with tags"):
        estimate_published(open_model(top_down_file), picture)
