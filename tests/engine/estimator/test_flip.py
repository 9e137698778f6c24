from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.estimator.flip import run_with_flip
from engine.model import Model, open_model
from engine.skeleton import Skeleton


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).random((2, 3, *size), np.float32)


def test_a_mirror_symmetric_network_is_not_changed_by_the_flip_test(top_down_file: Path) -> None:
    model = open_model(top_down_file)
    inputs = picture((128, 96))
    np.testing.assert_allclose(
        run_with_flip(model, inputs)["heatmaps"], model.run(inputs)["heatmaps"], atol=1e-5
    )


def test_left_and_right_are_exchanged(top_down_file: Path) -> None:
    plain = open_model(top_down_file)
    names = plain.spec.skeleton.model_dump() | {"flip_pairs": ((1, 2), (3, 4))}
    spec = plain.spec.model_copy(update={"skeleton": Skeleton.model_validate(names)})
    model = Model(spec, plain.path, plain.sha256, plain.runtime)
    inputs = picture((128, 96))
    maps = plain.run(inputs)["heatmaps"]
    expected = (maps + maps[:, [0, 2, 1, 4, 3, 5]]) / 2
    np.testing.assert_allclose(run_with_flip(model, inputs)["heatmaps"], expected, atol=1e-5)


def test_the_published_convention_shifts_the_mirrored_maps_by_one(top_down_file: Path) -> None:
    plain = open_model(top_down_file)
    spec = plain.spec.model_copy(update={"convention": "hrnet"})
    model = Model(spec, plain.path, plain.sha256, plain.runtime)
    inputs = picture((128, 96))
    maps = plain.run(inputs)["heatmaps"]
    shifted = maps.copy()
    shifted[..., 1:] = maps[..., :-1]
    np.testing.assert_allclose(run_with_flip(model, inputs)["heatmaps"], (maps + shifted) / 2, atol=1e-5)


@pytest.mark.parametrize("convention", ["half-pixel", "hrnet"])
def test_bottom_up_keeps_its_tags_and_never_shifts(
    convention: str, tmp_path: Path, write_marker_model: Callable[..., Path]
) -> None:
    path = write_marker_model(tmp_path / "net.onnx", "bottom-up", convention=convention)
    model = open_model(path)
    inputs = picture((192, 160))[:1]
    plain, flipped = model.run(inputs), run_with_flip(model, inputs)
    np.testing.assert_array_equal(flipped["tags_0"], plain["tags_0"])
    for name in ("heatmaps_0", "heatmaps_1"):
        np.testing.assert_allclose(flipped[name], plain[name], atol=1e-5)
