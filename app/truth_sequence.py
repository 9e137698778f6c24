"""The truth of one source, in whatever form it was written down; see `app.truth_files`."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.truth import TruePerson
from engine.skeleton import COCO17, DEFAULT_OKS_SIGMA, SKELETONS, Skeleton

TRUTH_ENDING = re.compile(r"[._-](truth|gt|coco|posetrack)$", re.IGNORECASE)

Polygon = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TruthSequence:
    """The truth of one source.

    name: of the source, as far as the file tells. people: frame to who is there. judged: frames that were
    labelled, also those where nobody is. extent: from the first frame to the last that the truth knows of.
    ignored: frame to outlines, (P, 2) px, inside which nothing was labelled. min_visible: whoever has fewer
    visible keypoints need not be found; 0 where everybody who is labelled must be.
    """

    name: str
    path: Path
    skeleton: Skeleton
    people: Mapping[int, Sequence[TruePerson]]
    judged: Collection[int]
    extent: range
    ignored: Mapping[int, Sequence[Polygon]] = field(default_factory=dict)
    min_visible: int = 0

    def must_be_found(self, person: TruePerson) -> bool:
        """Whether it is a miss if nobody is found there."""
        if self.min_visible:
            return person.countable
        return bool((person.visibility > 0).any())


def find_skeleton(names: Sequence[str], sequence: str) -> Skeleton:
    """Return the shipped skeleton with these keypoints, else one of them; each has COCO's sigma or the mean.

    Args:
        names: of the keypoints, in order.
        sequence: what a skeleton that is none of the shipped ones is called.
    """
    for skeleton in SKELETONS.values():
        if skeleton.keypoints == tuple(names):
            return skeleton
    sigmas = dict(zip(COCO17.keypoints, COCO17.oks_sigmas, strict=True))
    return Skeleton(
        name=sequence,
        keypoints=tuple(names),
        limbs=(),
        flip_pairs=(),
        oks_sigmas=tuple(sigmas.get(name, DEFAULT_OKS_SIGMA) for name in names),
    )


def sequence_name(stem: str) -> str:
    """Return the name of a source from that of its truth: ``demo`` of ``demo_truth``."""
    return TRUTH_ENDING.sub("", stem)
