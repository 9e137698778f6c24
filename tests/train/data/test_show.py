from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import SinkError
from train.data.show import LEFT_BGR, RIGHT_BGR, arrange_sheet, show_samples
from train.settings import TrainSettings


def settings_for(folder: Path, **changes: object) -> TrainSettings:
    values: dict[str, object] = {
        "name": "test",
        "kind": "top-down",
        "architecture": "hrnet_w16",
        "data": [{"annotations": folder / "people.json", "images": folder / "images"}],
        "stages": [
            {"steps": 1, "input_size": [96, 64], "batch": 2},
            {"steps": 1, "input_size": [128, 96], "batch": 2},
            {"steps": 2, "input_size": [128, 96], "batch": 4},
        ],
        "augment": {"colour": 0, "cover": 0, "lose_detail": 0, "negative": 0, "cut": 0},
    }
    return TrainSettings.model_validate(values | changes)


def holds(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(image.astype(int) - colour).max(axis=2) < 12).any())


@pytest.mark.parametrize("targets", ["unbiased", "gaussian", "udp"])
def test_every_input_size_of_a_top_down_run_has_a_sheet_of_samples_and_of_targets(
    stick_people: Path, tmp_path: Path, targets: str
) -> None:
    files = show_samples(settings_for(stick_people, targets=targets), tmp_path / "sheets", count=5)
    assert [file.name for file in files] == [
        "samples-96x64.png", "targets-96x64.png", "samples-128x96.png", "targets-128x96.png",
    ]  # fmt: skip
    for file in files:
        sheet = cv2.imread(str(file))
        assert sheet is not None
        assert holds(sheet, LEFT_BGR)
        assert holds(sheet, RIGHT_BGR)


def test_every_output_of_a_bottom_up_run_has_a_sheet_of_targets(stick_people: Path, tmp_path: Path) -> None:
    settings = settings_for(
        stick_people, kind="bottom-up", tag_losses=[True, False, True], heatmap_losses=[True] * 3
    )
    names = [file.name for file in show_samples(settings, tmp_path, count=2)]
    assert names[:4] == ["samples-96x64.png", *(f"targets-96x64-stride{stride}.png" for stride in (4, 2, 1))]


def test_a_sheet_holds_every_panel() -> None:
    panels = [np.full((30, 20, 3), 10 * number, np.uint8) for number in range(1, 8)]
    sheet = arrange_sheet(panels)
    for panel in panels:
        assert (sheet == panel[0, 0]).all(axis=2).sum() == 600


def test_a_sheet_that_cannot_be_written_is_an_error(stick_people: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be written"):
        show_samples(settings_for(stick_people), tmp_path / "file", count=1)
