from pathlib import Path

import numpy as np
import pytest

from train.data.synthetic_bodies import Library
from train.data.synthetic_people import Figure, Outfit, random_figure, random_materials, random_outfit

BODIES = Path(__file__).parents[4] / "shared" / "data" / "synthetic"
needs_bodies = pytest.mark.skipif(
    not BODIES.is_dir(), reason="the folder of bodies is not beside the checkout"
)


def test_skirts_are_worn_upright_only_and_suits_come_alone():
    rng = np.random.default_rng(0)
    drawn = [random_outfit(rng, male=bool(i % 2), upright=i % 3 == 0) for i in range(400)]
    for index, outfit in enumerate(drawn):
        if outfit.bottom == "skirt_f":
            assert index % 3 == 0 and index % 2 == 0
            assert outfit.bare_legs
        if outfit.top == "suit_m":
            assert not outfit.bottom
    assert len({outfit.garments for outfit in drawn}) > 50


@needs_bodies
@pytest.mark.shared_data
def test_all_that_is_worn_has_a_material_and_skin_shows_where_it_should():
    library = Library(BODIES)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        outfit = random_outfit(rng, male=False)
        figure = Figure(library, seed, outfit, random_materials(rng, library.body(seed), outfit))
        assert len(figure.material) == len(figure.triangles) == len(figure.double_sided)
        assert figure.triangles.max() < len(figure.whole.vertices)
        assert figure.material.max() < len(figure.materials)


@needs_bodies
@pytest.mark.shared_data
def test_bare_legs_show_more_skin_than_painted_ones():
    library = Library(BODIES)
    materials = random_materials(np.random.default_rng(0), library.body(1), Outfit("", "", "", ""))
    skin = list(materials).index("skin")
    shown = [
        int((Figure(library, 1, Outfit("", "", "", "", bare_legs=bare), materials).material == skin).sum())
        for bare in (False, True)
    ]
    assert shown[1] > shown[0] + 500


@needs_bodies
@pytest.mark.shared_data
def test_people_stand_on_the_ground_whatever_their_shoes_and_where_they_are_put():
    library = Library(BODIES)
    for seed in range(6):
        figure = random_figure(library, np.random.default_rng(seed))
        pose = figure.pose_in_clip(library.motion("own_idle"), 10, (3.0, -2.0), 1.0)
        mesh, keypoints = figure.mesh(pose)
        assert abs(mesh.vertices[:, 1].min()) < 0.035
        assert np.abs(keypoints[:, [0, 2]].mean(0) - [3.0, -2.0]).max() < 0.3
        # Turned by 1 rad from +Z: the nose is ahead of the ears in that direction.
        ahead = keypoints[0] - keypoints[3:5].mean(0)
        assert ahead @ [np.sin(1.0), 0, np.cos(1.0)] > 0.06
        # Left is the person's own left.
        assert (keypoints[5] - keypoints[6]) @ [np.cos(1.0), 0, -np.sin(1.0)] > 0.2
