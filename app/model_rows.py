"""What is worth telling of each model in a list: bundled, downloaded, and published ones."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import ModelFileError
from engine.model_file import read_spec
from engine.skeleton import SKELETONS
from engine.zoo import ALIASES, downloaded_names, model_names, model_path, variants
from engine.zoo_catalogue import CATALOGUE, PublishedModel

LOGGER = logging.getLogger(__name__)

RowState = Literal["bundled", "downloaded", "damaged", "available", "by hand"]

PARAMETERS: Mapping[str, float] = {
    "hrnet_w32": 28.5e6,
    "hrnet_w48": 63.6e6,
    "higherhrnet_w32": 28.6e6,
    "higherhrnet_w48": 63.8e6,
}
"""Architecture to its count of trained numbers: Sun et al. 2019, table 1; Cheng et al. 2020, table 1."""
BYTES_EACH = 4
ACCURACY_NAMES = {"ap": "AP", "map": "mAP", "pckh": "PCKh", "mean_oks": "OKS"}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of the list.

    size_bytes: of its files, or about what would be downloaded; None where nobody says. accuracy: the figure
    that its authors lead with, in words; judged_on: on what it was measured. problem: what is wrong with a
    damaged one.
    """

    name: str
    state: RowState
    kind: str
    keypoints: int
    input_size: tuple[int, int]
    accuracy: str
    judged_on: str
    licence: str
    training_data: str
    documented: str
    size_bytes: int | None
    problem: str = ""

    @property
    def at_hand(self) -> bool:
        """Whether it can be used now."""
        return self.state in ("bundled", "downloaded")


def list_rows() -> tuple[ModelRow, ...]:
    """Return all models: those at hand, then those that can be had. Reads every file; takes a moment."""
    at_hand = [*model_names(), *downloaded_names()]
    rows = [_row_at_hand(name, bundled=name in model_names()) for name in at_hand]
    return (*rows, *(_row_published(entry) for entry in CATALOGUE.values() if entry.name not in at_hand))


def _row_at_hand(name: str, *, bundled: bool) -> ModelRow:
    path = model_path(name)
    size = sum(file.stat().st_size for file in variants(path).values())
    published = CATALOGUE.get(name)
    try:
        spec = read_spec(path)
    except (ModelFileError, OSError) as error:
        LOGGER.warning("%s", error)
        return ModelRow(
            name=name,
            state="damaged",
            kind=published.kind if published else "",
            keypoints=SKELETONS[published.skeleton].count if published else 0,
            input_size=published.input_size if published else (0, 0),
            accuracy="",
            judged_on="",
            licence=published.licence if published else "",
            training_data="",
            documented="",
            size_bytes=size,
            problem=str(error),
        )
    aliases = [alias for alias, target in ALIASES.items() if target == name]
    return ModelRow(
        name=name,
        state="bundled" if bundled else "downloaded",
        kind=spec.kind,
        keypoints=spec.skeleton.count,
        input_size=spec.input_size,
        accuracy=headline(spec.accuracy),
        judged_on=published.judged_on if published else "",
        licence=spec.licence,
        training_data=spec.training_data,
        documented=f"{published.paper}; {published.page}" if published else ", ".join(aliases),
        size_bytes=size,
    )


def _row_published(entry: PublishedModel) -> ModelRow:
    parameters = PARAMETERS.get(entry.architecture)
    return ModelRow(
        name=entry.name,
        state=entry.state,
        kind=entry.kind,
        keypoints=SKELETONS[entry.skeleton].count,
        input_size=entry.input_size,
        accuracy=headline(entry.accuracy),
        judged_on=entry.judged_on,
        licence=entry.licence,
        training_data=entry.training_data,
        documented=f"{entry.paper}; {entry.page}",
        size_bytes=round(parameters * BYTES_EACH) if parameters else None,
    )


def headline(accuracy: Mapping[str, float]) -> str:
    """Return the figure that leads, in words: AP 74.6; empty where there is none."""
    for key, name in ACCURACY_NAMES.items():
        if key in accuracy:
            return f"{name} {100 * accuracy[key]:.1f}"
    return ""
