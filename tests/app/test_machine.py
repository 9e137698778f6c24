import json
import tomllib
from pathlib import Path

from app import machine
from engine import __version__


def test_the_machine_is_told_in_one_line():
    line = machine.machine_line()
    assert "cores" in line and "numpy" in line and "\n" not in line


def test_the_machine_goes_into_json():
    assert json.loads(json.dumps(machine.describe_machine()))["steadypose"] == __version__


def test_the_package_and_its_metadata_tell_one_version():
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == __version__


def test_packages_that_are_absent_are_left_out(monkeypatch):
    monkeypatch.setattr(machine, "SPEED_PACKAGES", ("numpy", "no-such-package-here"))
    assert list(machine.package_versions()) == ["numpy"]
