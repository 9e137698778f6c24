"""The folder of a run: what is there already, whether it fits the settings, and its log."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import ModelFileError, SinkError, UsageError
from train.checkpoint import read_checkpoint
from train.settings import TrainSettings

log = logging.getLogger(__name__)

LAST, BEST, FINAL, LOG = "last.pt", "best.pt", "final.pt", "log.jsonl"

FIXED = ("kind", "architecture", "architecture_options", "skeleton", "tag_losses", "tag_per_keypoint")
"""Settings that say which network it is."""


def open_folder(settings: TrainSettings) -> Path:
    """Make the run's folder if need be, and clear it of what a killed save left behind.

    Raises:
        SinkError: the folder cannot be made.
    """
    folder = settings.out / settings.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (LAST, BEST, FINAL):
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink()
                log.info("removed %s, which a save that was cut short left behind", leftover)
    except OSError as error:
        raise SinkError(
            f"the run's folder {folder} cannot be written: {error.strerror}; set out to another"
        ) from error
    return folder


def is_complete(folder: Path, settings: TrainSettings) -> bool:
    """Return whether the run has reached its end, and say so.

    Raises:
        UsageError: its network is not the one that the settings describe.
    """
    final = folder / FINAL
    if not final.exists():
        return False
    state = _read(final, settings)
    log.info(
        "%s is complete: %s holds step %d; remove it to train on where stages have grown, or give the run "
        "another name",
        settings.name,
        final,
        state["step"],
    )
    return True


def read_state(folder: Path, settings: TrainSettings) -> dict[str, Any] | None:
    """Return what `last.pt` holds, None where there is none, and say which settings have changed.

    Raises:
        ModelFileError: the file is damaged or no training state.
        UsageError: it is of another network, or another optimiser, than the settings describe.
    """
    last = folder / LAST
    if not last.exists():
        return None
    state = _read(last, settings)
    before = json.loads(state["config"])
    if before.get("optimizer", settings.optimizer) != settings.optimizer:
        raise UsageError(
            f"{last} holds the state of {before['optimizer']}, which {settings.optimizer} cannot go on from; "
            f"keep the optimizer, or start another run with init_weights: {last} and init_part: all"
        )
    changes = list(changed_settings(before, settings))
    if changes:
        log.info("settings changed since step %d: %s", state["step"], "; ".join(changes))
    return state


def changed_settings(before: Mapping[str, Any], settings: TrainSettings) -> Iterator[str]:
    """Yield `name: old -> new` of each setting that differs, of those that the old run knew."""
    after = json.loads(settings.model_dump_json())
    old = dict(_flatten({name: value for name, value in before.items() if name in after}))
    new = dict(_flatten({name: value for name, value in after.items() if name in before}))
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name, 'unset')} -> {new.get(name, 'unset')}"


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    items = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if items is None:
        yield name, value
    else:
        for key, part in items:
            yield from _flatten(part, f"{name}.{key}" if name else str(key))


def _read(path: Path, settings: TrainSettings) -> dict[str, Any]:
    try:
        state = read_checkpoint(path)
    except ModelFileError as error:
        raise ModelFileError(f"{error}, or remove it") from error
    if not isinstance(state, dict) or not {"model", "ema", "optimizer", "step", "config"} <= state.keys():
        raise ModelFileError(
            f"{path} is not the state of a training run; give the run another name, or remove the file"
        )
    before, after = json.loads(state["config"]), json.loads(settings.model_dump_json())
    different = [name for name in FIXED if before.get(name, after[name]) != after[name]]
    if different:
        was = ", ".join(f"{name} {before[name]}" for name in different)
        now = ", ".join(f"{name} {after[name]}" for name in different)
        raise UsageError(
            f"{path} is of another network: it has {was} ({before.get('architecture')}), the settings have "
            f"{now} ({settings.architecture}); give the run another name, or remove the folder {path.parent}"
        )
    return state


def append_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Add one line to the log.

    Raises:
        SinkError: the disk is full or the folder is gone.
    """
    try:
        with (folder / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
    except OSError as error:
        raise SinkError(
            f"{folder / LOG} cannot be written: {error.strerror}; make room, then go on"
        ) from error


def forget_after(folder: Path, step: int) -> None:
    """Drop the rows of the log after a step: a run that goes on from there writes them again."""
    path = folder / LOG
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # the line at which the run was killed
        if row["step"] <= step:
            kept.append(line + "\n")
    part = path.with_suffix(".part")
    part.write_text("".join(kept), encoding="utf-8")
    part.replace(path)
