import subprocess
import sys
import tomllib
from pathlib import Path

import engine


def test_the_version_is_that_of_the_package() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert engine.__version__ == tomllib.loads(project.read_text())["project"]["version"]


def test_importing_the_engine_is_cheap() -> None:
    heavy = {"numpy", "cv2", "av", "onnx", "openvino", "onnxruntime", "scipy", "pydantic"}
    code = f"import sys, engine; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_can_be_opened_by_path(top_down_file: Path) -> None:
    model = engine.open_model(top_down_file, runtime="onnxruntime", threads=1)
    assert model.runtime.name == "onnxruntime" and model.spec.kind == "top-down"
