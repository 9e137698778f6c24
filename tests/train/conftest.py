import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


@pytest.fixture(scope="session")
def fill() -> ModuleType:
    """Deterministic weights and inputs, each a pure function of its name."""
    spec = importlib.util.spec_from_file_location("reference_fill", REFERENCE / "fill.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference() -> Path:
    return REFERENCE


@pytest.fixture(scope="session")
def official_entries():
    """Ordered (key, shape) pairs of an official network's state_dict."""

    def read(name: str) -> list[tuple[str, tuple[int, ...]]]:
        content = json.loads((REFERENCE / "state_dict" / f"{name}.json").read_text())
        return [(entry[0], tuple(entry[1])) for entry in content["entries"]]

    return read


@pytest.fixture(scope="session")
def entries_of():
    """Ordered (key, shape) pairs of a module's state_dict."""

    def read(module: torch.nn.Module) -> list[tuple[str, tuple[int, ...]]]:
        return [(key, tuple(value.shape)) for key, value in module.state_dict().items()]

    return read
