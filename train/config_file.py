"""Read a run's YAML file, apply ``key=value`` overrides, and explain what is wrong with it."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from engine.errors import UsageError
from train.settings import TrainSettings


def load_settings(path: Path, overrides: tuple[str, ...] = ()) -> TrainSettings:
    """Read a YAML file and apply ``key=value`` overrides with dotted keys and YAML values.

    Raises:
        UsageError: the file is missing, is no YAML, or a setting is unknown or impossible; for an unknown
            name the nearest known one is suggested.
    """
    if not path.is_file():
        raise UsageError(f"config {path} does not exist; see train/configs")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold one setting per line as `name: value`")
    for override in overrides:
        _override(values, override)
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{path}: " + "; ".join(_explain(item) for item in error.errors())) from error


def _explain(item: Any) -> str:
    where = [str(part) for part in item["loc"]]
    name = ".".join(where)
    if item["type"] != "extra_forbidden":
        message = item["msg"].removeprefix("Value error, ")
        return f"{name}: {message}" if name else message
    known = _fields_at(where[:-1])
    near = get_close_matches(where[-1], known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"{name} is no setting; {hint}"


def _fields_at(where: list[str]) -> list[str]:
    model: type[BaseModel] = TrainSettings
    for part in where:
        if part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _override(values: dict[str, Any], override: str) -> None:
    key, found, text = override.partition("=")
    if not found:
        raise UsageError(f"--set takes key=value, got {override!r}")
    target: Any = values
    *parents, last = key.split(".")
    try:
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        if isinstance(target, list):
            target[int(last)] = yaml.safe_load(text)
        else:
            target[last] = yaml.safe_load(text)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise UsageError(f"--set {override!r} does not lead to a setting") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--set {override!r}: {text!r} is no YAML value") from error
