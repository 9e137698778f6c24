import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from app import machine


def test_the_machine_is_told_in_one_line():
    line = machine.machine_line()
    assert "cores" in line and "numpy" in line and "\n" not in line


def test_a_clone_that_was_never_installed_knows_its_version(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", absent)
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8"))
    assert machine.software_version() == project["project"]["version"]


def test_packages_that_are_absent_are_left_out(monkeypatch):
    monkeypatch.setattr(machine, "REPORTED_PACKAGES", ("numpy", "no-such-package-here"))
    assert list(machine.package_versions()) == ["numpy"]
