from dataclasses import replace

import numpy as np
import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17
from train.protocols.pairing import Selection, judge
from train.protocols.pck import lsp_figures, mpii_figures, stack_judged


def stack(*predictions):
    return stack_judged(list(judge(predictions, COCO17, Selection())), COCO17)


def test_lsp_counts_limbs_within_a_fifth_of_the_torso(stand, respond) -> None:
    person = stand(300)
    torso = float(np.linalg.norm(person.keypoints[5] - person.keypoints[12]))
    near, far = respond([person], shift=0.13 * torso), respond([stand(700)], shift=0.15 * torso)
    figures = lsp_figures(stack(near, far), COCO17)
    assert figures["pck@0.2"] == 0.5
    assert set(figures["parts"]) == {"shoulder", "elbow", "wrist", "hip", "knee", "ankle"}
    assert figures["people"] == 2
    assert figures["curve"]["pck"][0] == 0 and figures["curve"]["pck"][-1] == 1


def test_people_not_found_have_all_limbs_wrong(stand, respond) -> None:
    assert lsp_figures(stack(respond([stand(300), stand(700)], answers=[0])), COCO17)["pck@0.2"] == 0.5


def test_people_without_a_torso_do_not_count(stand, respond) -> None:
    person = stand(300)
    person.visibility[12] = 0
    with pytest.raises(UsageError, match="right hip"):
        lsp_figures(stack(respond([person])), COCO17)


def test_pckh_needs_mpii_s_keypoints(stand, respond) -> None:
    person = replace(stand(300), head_size=20.0)
    with pytest.raises(UsageError, match="keypoints of MPII"):
        mpii_figures(stack(respond([person])), COCO17)
