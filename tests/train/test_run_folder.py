import json
import logging
from pathlib import Path

import pytest
import torch

from engine.errors import ModelFileError, SinkError, UsageError
from train.checkpoint import save_checkpoint
from train.run_folder import (
    append_row,
    changed_settings,
    forget_after,
    is_complete,
    open_folder,
    read_state,
)
from train.settings import TrainSettings


def settings(out: Path, **changes: object) -> TrainSettings:
    values: dict = {
        "name": "run",
        "kind": "top-down",
        "architecture": "hrnet_w32",
        "data": [{"annotations": Path("people.json"), "images": Path("images")}],
        "stages": [{"steps": 10, "input_size": [64, 64], "batch": 8}],
        "out": out,
    }
    return TrainSettings.model_validate(values | changes)


def keep(run: TrainSettings, name: str = "last.pt", **changes: object) -> Path:
    """Save a state as the trainer does."""
    folder = open_folder(run)
    state = {"model": {"w": torch.zeros(1)}, "ema": {"w": torch.zeros(1)}, "optimizer": {}, "step": 7}
    save_checkpoint(folder / name, state | {"config": run.model_dump_json()} | changes)
    return folder


def test_a_new_run_has_no_state_and_is_not_complete(tmp_path: Path) -> None:
    folder = open_folder(settings(tmp_path))
    assert folder == tmp_path / "run" and folder.is_dir()
    assert read_state(folder, settings(tmp_path)) is None
    assert not is_complete(folder, settings(tmp_path))


def test_what_a_killed_save_left_is_ignored_and_cleared(tmp_path: Path) -> None:
    folder = keep(settings(tmp_path))
    leftover = folder / ".last.pt.4711.tmp"
    leftover.write_bytes(b"half a checkpoint")
    open_folder(settings(tmp_path))
    assert not leftover.exists()
    state = read_state(folder, settings(tmp_path))
    assert state is not None and state["step"] == 7


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"cannot be written: .*; set out to another"):
        open_folder(settings(tmp_path / "file"))


@pytest.mark.parametrize("name", ["last.pt", "final.pt"])
def test_a_state_of_another_network_is_refused_and_both_are_named(tmp_path: Path, name: str) -> None:
    folder = keep(settings(tmp_path), name)
    other = settings(tmp_path, architecture="hrnet_w48")
    with pytest.raises(
        UsageError, match=r"is of another network: .*hrnet_w32.*hrnet_w48.*another name, or remove the folder"
    ):
        (read_state if name == "last.pt" else is_complete)(folder, other)


@pytest.mark.parametrize(
    "change", [{"skeleton": "mpii16"}, {"kind": "bottom-up"}, {"architecture_options": {"stacks": 2}}]
)
def test_what_makes_the_network_another_may_not_change(tmp_path: Path, change: dict) -> None:
    folder = keep(settings(tmp_path))
    with pytest.raises(UsageError, match=f"it has {next(iter(change))}"):
        read_state(folder, settings(tmp_path, **change))


def test_the_state_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    folder = keep(settings(tmp_path))
    with pytest.raises(UsageError, match="holds the state of adamw, which sgd cannot go on from"):
        read_state(folder, settings(tmp_path, optimizer="sgd"))


def test_other_settings_may_change_and_are_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = keep(settings(tmp_path))
    longer = [{"steps": 20, "input_size": [64, 64], "batch": 8}]
    with caplog.at_level(logging.INFO):
        read_state(folder, settings(tmp_path, learning_rate=1e-4, stages=longer))
    assert "changed since step 7" in caplog.text
    assert "learning_rate: 0.002 -> 0.0001" in caplog.text
    assert "stages.0.steps: 10 -> 20" in caplog.text
    assert caplog.text.count("->") == 2


def test_settings_that_an_older_run_did_not_know_are_no_change(tmp_path: Path) -> None:
    before = json.loads(settings(tmp_path).model_dump_json())
    del before["ohkm_top"], before["learning_rate"]
    before["gone"] = 1
    assert list(changed_settings(before, settings(tmp_path, ema=0.5))) == ["ema: 0.999 -> 0.5"]


def test_a_damaged_state_and_one_of_something_else_are_told_apart(tmp_path: Path) -> None:
    folder = open_folder(settings(tmp_path))
    (folder / "last.pt").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match=r"last\.pt cannot be read .*, or remove it"):
        read_state(folder, settings(tmp_path))
    torch.save({"state_dict": {}}, folder / "last.pt")
    with pytest.raises(ModelFileError, match="is not the state of a training run"):
        read_state(folder, settings(tmp_path))


def test_the_log_forgets_what_is_trained_again(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        append_row(tmp_path, {"step": step})
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')
    forget_after(tmp_path, 2)
    append_row(tmp_path, {"step": 3, "again": True})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"log\.jsonl cannot be written"):
        append_row(tmp_path / "nowhere", {"step": 1})
