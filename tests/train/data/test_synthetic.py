import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from train.data.synthetic import render_demo, synthesize_training_set

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not beside the checkout")


@needs_data
@pytest.mark.shared_data
def test_a_training_set_can_be_read_and_drawn_again_the_same(tmp_path):
    written = []
    for name in ("first", "second"):
        path = synthesize_training_set(
            DATA / "synthetic", DATA / "backgrounds", tmp_path / name, count=3, seed=11
        )
        written.append(json.loads(path.read_text()))
    assert written[0] == written[1]
    content = written[0]
    assert len(content["images"]) == 3
    assert len(content["annotations"]) >= 3
    sizes = {}
    for image in content["images"]:
        first, second = (
            cv2.imread(str(tmp_path / n / "images" / image["file_name"])) for n in ("first", "second")
        )
        np.testing.assert_array_equal(first, second)
        assert first.shape[:2] == (image["height"], image["width"])
        assert max(first.shape) == 512
        sizes[image["id"]] = image
    for record in content["annotations"]:
        image = sizes[record["image_id"]]
        keypoints = np.reshape(record["keypoints"], (17, 3))
        seen = keypoints[keypoints[:, 2] > 0]
        assert len(seen) == record["num_keypoints"]
        assert (seen[:, :2] >= -0.5).all() and (seen[:, 0] < image["width"]).all()
        x, y, width, height = record["bbox"]
        assert (seen[:, 0] >= x - 2).all() and (seen[:, 0] <= x + width + 2).all()
        assert (seen[:, 1] >= y - 2).all() and (seen[:, 1] <= y + height + 2).all()


@pytest.mark.parametrize("count", [0, -1])
def test_no_pictures_are_a_wrong_use(tmp_path, count):
    with pytest.raises(UsageError, match="at least 1"):
        synthesize_training_set(tmp_path, tmp_path, tmp_path, count=count, seed=0)


def test_missing_folders_are_named_before_anything_is_written(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="no synthetic bodies"):
        render_demo(tmp_path / "absent", tmp_path, out / "demo.mp4", out / "demo.csv", seed=0)
    with pytest.raises(UsageError, match="no synthetic bodies"):
        synthesize_training_set(tmp_path / "absent", tmp_path, out, count=1, seed=0)
    assert not out.exists()
