import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from train.data.synthetic_backdrops import Backdrops, box_mesh, random_prop
from train.data.synthetic_camera import Camera
from train.data.synthetic_materials import flat

CAMERA = Camera((0.0, 1.5, 0.0), 0.0, 0.0, 0.0, 300.0, (240, 320))


def test_a_folder_without_pictures_is_named_in_the_error(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match=r"no background pictures .*--backgrounds"):
            Backdrops(folder)


def test_a_file_that_is_no_picture_is_named_in_the_error(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match=r"broken\.jpg cannot be read"):
        Backdrops(tmp_path).random_view(CAMERA, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(128, 256), (100, 130), (600, 200)])
def test_panoramas_and_photographs_of_any_shape_fill_the_view(tmp_path, shape):
    cv2.imwrite(str(tmp_path / "back.png"), np.full((*shape, 3), 77, np.uint8))
    view, light = Backdrops(tmp_path).random_view(CAMERA, np.random.default_rng(0))
    assert view.shape == (240, 320, 3)
    assert np.abs(view.astype(int) - 77).max() <= 1
    assert np.linalg.norm(light.towards) == pytest.approx(1)
    assert light.towards[1] > 0


def test_a_background_is_found_by_name(tmp_path):
    cv2.imwrite(str(tmp_path / "street.png"), np.zeros((64, 128, 3), np.uint8))
    backdrops = Backdrops(tmp_path)
    assert backdrops.named("street").shape == (64, 128, 3)
    with pytest.raises(UsageError, match=r"no background 'beach'.*there are street"):
        backdrops.named("beach")


def test_all_sides_of_a_box_face_outwards():
    mesh = box_mesh((1.0, 2.0, 3.0), (0.5, 1.0, 2.0), 0.4, flat((0.5, 0.5, 0.5)))
    corner = mesh.vertices[mesh.triangles]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    outwards = corner.mean(1) - [1.0, 2.0, 3.0]
    assert ((face * outwards).sum(1) > 0).all()
    assert ((face * mesh.normals[mesh.triangles[:, 0]]).sum(1) > 0).all()
    assert 0.5 * np.linalg.norm(face, axis=1).sum() == pytest.approx(
        2 * (0.5 * 1 + 1 * 2 + 0.5 * 2), rel=1e-5
    )


def test_props_stand_on_or_above_the_ground():
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert random_prop(rng, 0.0, 5.0).vertices[:, 1].min() > -1e-6
