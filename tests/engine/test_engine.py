import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import engine
import engine.structures


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


def test_every_name_it_offers_is_there_and_is_the_one_of_its_module() -> None:
    for name in engine.__all__:
        assert getattr(engine, name) is not None
    assert engine.Result is engine.structures.Result
    with pytest.raises(AttributeError, match="no attribute 'Rezult'"):
        engine.Rezult  # noqa: B018


def test_every_package_is_marked_as_typed() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (root / package / "py.typed").is_file()


@pytest.mark.slow
def test_a_user_who_checks_types_strictly_gets_types(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import engine\n"
        "for result in engine.track('clip.mp4'):\n"
        "    ids: list[int] = [person.track_id for person in result.people]\n"
        "with engine.open_tracker(fps=30) as tracker:\n"
        "    reveal_type(tracker.update)\n"
        "    wrong: int = tracker.update\n"
    )
    options = ["--strict", "--no-incremental", "--config-file=", "--follow-imports=silent"]
    options += ["--disable-error-code=import-untyped", "--explicit-package-bases"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(script)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "-> engine.structures.Result" in done.stdout, done.stdout + done.stderr
    assert [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line] == ["6"]
