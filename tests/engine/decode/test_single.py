import numpy as np
import pytest

from engine.decode.single import decode_crops
from engine.errors import ModelFileError
from engine.geometry import crop_matrix, input_to_heatmap, transform_points
from engine.skeleton import COCO17, MPII16


@pytest.mark.parametrize(
    ("case", "input_size", "skeleton"),
    [("a", (256, 192), COCO17), ("b", (384, 288), COCO17), ("c", (256, 256), MPII16)],
)
@pytest.mark.parametrize(("decoder", "name"), [("quarter", "final_shift"), ("argmax", "final_plain")])
def test_frame_px_are_the_reference_ones(case, input_size, skeleton, decoder, name, vectors, make_spec):
    content = vectors("hrnet_decode")
    spec = make_spec(input_size=input_size, skeleton=skeleton, decoder=decoder, convention="hrnet")
    matrices = [
        crop_matrix(centre, scale * 200, input_size, convention="hrnet")
        for centre, scale in zip(content[f"{case}_center"], content[f"{case}_scale"])
    ]
    keypoints, scores = decode_crops(content[f"{case}_heatmaps"], matrices, spec)
    np.testing.assert_allclose(keypoints, content[f"{case}_{name}"], atol=2e-3)
    np.testing.assert_array_equal(scores, content[f"{case}_maxvals"][..., 0].clip(0, 1))


@pytest.mark.parametrize(("case", "size", "sigma"), [("k11", (64, 48), 2.0), ("k17", (96, 72), 3.0)])
def test_frame_px_of_dark_are_the_reference_ones(case, size, sigma, vectors, make_spec):
    content = vectors("dark_decode")
    # The reference maps heatmaps straight to the frame, so that here the heatmap is the input.
    spec = make_spec(input_size=size, heatmap_sigma=sigma, convention="udp")
    matrices = [
        crop_matrix(centre, scale * 200 - 1, size, convention="udp")
        for centre, scale in zip(content[f"{case}_center"], content[f"{case}_scale"])
    ]
    keypoints, _ = decode_crops(content[f"{case}_heatmaps"], matrices, spec)
    np.testing.assert_allclose(keypoints, content[f"{case}_final"], atol=1e-2)


@pytest.mark.parametrize("convention", ["hrnet", "half-pixel", "udp"])
@pytest.mark.parametrize("decoder", ["dark", "udp"])
def test_people_painted_into_heatmaps_come_back_to_the_frame(convention, decoder, make_spec, gaussians):
    rng = np.random.default_rng(2)
    spec = make_spec(convention=convention, decoder=decoder)
    truth = rng.uniform((300, 200), (400, 340), (5, 17, 2))
    matrices = np.stack(
        [
            crop_matrix(rng.uniform((340, 260), (360, 280)), (180, 240), (256, 192), convention=convention)
            for _ in truth
        ]
    )
    points = [
        input_to_heatmap(transform_points(matrix, person), (64, 48), (256, 192), convention)
        for matrix, person in zip(matrices, truth)
    ]
    keypoints, scores = decode_crops(gaussians(np.array(points), (64, 48)), matrices, spec)
    frame_px_per_heatmap_px = 180 / 48
    np.testing.assert_allclose(keypoints, truth, atol=0.1 * frame_px_per_heatmap_px)
    assert keypoints.dtype == scores.dtype == np.float32
    assert scores.min() > 0.9


def test_scores_are_clipped(make_spec):
    maps = np.full((1, 17, 64, 48), -0.5, np.float32)
    maps[:, :8, 20, 20] = 1.7
    _, scores = decode_crops(maps, np.eye(3)[None, :2], make_spec())
    np.testing.assert_array_equal(scores[0], np.arange(17) < 8)


def test_no_crops_give_nobody(make_spec):
    keypoints, scores = decode_crops(np.zeros((0, 17, 64, 48)), np.zeros((0, 2, 3)), make_spec())
    assert keypoints.shape == (0, 17, 2) and scores.shape == (0, 17)


def test_heatmaps_of_another_skeleton_are_refused(make_spec):
    with pytest.raises(ModelFileError, match=r"\(N, 17, H, W\) for skeleton 'coco17', got \(1, 18, 64, 48\)"):
        decode_crops(np.zeros((1, 18, 64, 48)), np.eye(3)[None, :2], make_spec())
