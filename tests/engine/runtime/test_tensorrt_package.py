import enum
import logging
import sys
import types

import pytest

from engine.errors import RuntimeUnavailableError
from engine.runtime.tensorrt_package import MODULES, PackageName, load_package


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


def fake_module(version: str) -> types.ModuleType:
    class ILogger:
        pass

    ILogger.Severity = Severity  # type: ignore[attr-defined]
    module = types.ModuleType("fake")
    module.__version__ = version  # type: ignore[attr-defined]
    module.ILogger = ILogger  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("name", "version"), [("tensorrt", "11.0.0.1"), ("tensorrt", "11.4.0.106"), ("tensorrt-rtx", "1.7.1.116")]
)
def test_fitting_versions_load(name: PackageName, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULES[name], fake_module(version))
    package = load_package(name)
    assert (package.name, package.version) == (name, version)
    assert package.portable == (name == "tensorrt-rtx")


@pytest.mark.parametrize(
    ("name", "version", "extra"),
    [
        ("tensorrt", "10.13.3.9", "steadypose[tensorrt]"),
        ("tensorrt", "12.0.0", "steadypose[tensorrt]"),
        ("tensorrt", "unknown", "steadypose[tensorrt]"),
        ("tensorrt-rtx", "1.2.0", "steadypose[rtx]"),
        ("tensorrt-rtx", "2.0", "steadypose[rtx]"),
    ],
)
def test_other_versions_are_refused_with_the_line_that_helps(
    name: PackageName, version: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULES[name], fake_module(version))
    with pytest.raises(RuntimeUnavailableError) as caught:
        load_package(name)
    assert version in str(caught.value) and f'pip install "{extra}"' in str(caught.value)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_an_absent_package_is_named_with_its_install_line(
    name: PackageName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULES[name], None)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install \"steadypose\["):
        load_package(name)


def test_a_library_that_cannot_be_loaded_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> types.ModuleType:
        raise OSError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr("engine.runtime.tensorrt_package.import_module", fail)
    with pytest.raises(RuntimeUnavailableError, match=r"libnvinfer\.so\.11"):
        load_package("tensorrt")


def test_errors_go_to_the_log_and_are_kept_for_the_one_who_asks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_module("11.4.0"))
    package = load_package("tensorrt")
    assert load_package("tensorrt").logger is package.logger
    with caplog.at_level(logging.DEBUG, logger="engine"):
        package.logger.log(Severity.ERROR, "no  such\nkernel")
        package.logger.log(Severity.INTERNAL_ERROR, "worse")
        package.logger.log(Severity.WARNING, "slow")
        package.logger.log(Severity.VERBOSE, "chatter")
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    assert levels == {
        "tensorrt: no such kernel": logging.WARNING,
        "tensorrt: worse": logging.WARNING,
        "tensorrt: slow": logging.DEBUG,
    }
    assert package.why() == "no such kernel; worse"
    assert package.why() == "tensorrt gave no reason"


def test_only_the_last_errors_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_module("11.4.0"))
    package = load_package("tensorrt")
    for index in range(100):
        package.logger.log(Severity.ERROR, f"error {index}")
    assert package.errors.take()[-1] == "error 99"
    assert package.errors.take() == []


def test_the_real_package_loads_without_a_gpu() -> None:
    pytest.importorskip("tensorrt_rtx")
    package = load_package("tensorrt-rtx")
    assert package.portable and package.version.startswith("1.")
    package.module.Builder(package.logger)
