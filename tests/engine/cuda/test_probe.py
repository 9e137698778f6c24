import types
from typing import Any

import pytest

from engine.cuda.probe import Probe, probe_gpus


def fill(target: Any, value: Any) -> int:
    if hasattr(target, "_obj"):
        target._obj.value = value
    else:
        target.value = value
    return 0


def make_driver(**changes: Any) -> types.SimpleNamespace:
    """Two GPUs behind the calls of libcuda."""
    functions: dict[str, Any] = {
        "cuDriverGetVersion": lambda version: fill(version, 13010),
        "cuInit": lambda flags: 0,
        "cuDeviceGetCount": lambda count: fill(count, 2),
        "cuDeviceGet": lambda device, index: fill(device, index + 5),
        "cuDeviceGetName": lambda name, size, device: fill(name, f"GPU {device.value}".encode()),
        "cuDeviceTotalMem_v2": lambda memory, device: fill(memory, device.value << 30),
        "cuDeviceGetAttribute": lambda value, which, device: fill(value, {75: 8, 76: 9}[which]),
    }
    return types.SimpleNamespace(**(functions | changes))


MANAGEMENT = types.SimpleNamespace(
    nvmlInit_v2=lambda: 0,
    nvmlSystemGetDriverVersion=lambda text, size: fill(text, b"580.95.05"),
    nvmlShutdown=lambda: 0,
)


def probe(driver: Any, management: Any = MANAGEMENT, system: str = "linux") -> Probe:
    def load(name: str) -> Any:
        library = management if "ml" in name else driver
        if library is None:
            raise OSError(f"{name}: cannot open shared object file")
        return library

    return probe_gpus(load, system)


@pytest.mark.parametrize("system", ["linux", "win32"])
def test_gpus_are_named_with_capability_memory_and_driver(system: str) -> None:
    found = probe(make_driver(), system=system)
    assert found.release == "580.95.05" and found.cuda == (13, 1) and found.problem is None
    assert [gpu.name for gpu in found.gpus] == ["GPU 5", "GPU 6"]
    assert [gpu.index for gpu in found.gpus] == [0, 1]
    assert found.gpus[0].compute_capability == (8, 9)
    assert found.gpus[1].memory_bytes == 6 << 30


def test_without_a_driver_nothing_is_found_and_nothing_is_wrong() -> None:
    assert probe(None) == Probe()
    assert probe(None, system="darwin") == Probe()


def test_a_driver_without_a_gpu_is_no_problem() -> None:
    found = probe(make_driver(cuInit=lambda flags: 100))
    assert found.cuda == (13, 1) and found.gpus == () and found.problem is None


def test_a_driver_that_does_not_start_is_a_problem() -> None:
    found = probe(make_driver(cuInit=lambda flags: 999))
    assert found.problem is not None and "999" in found.problem
    assert probe(make_driver(cuDriverGetVersion=lambda version: 1)).problem
    assert probe(make_driver(cuDeviceGetCount=lambda count: 1)).problem


def test_the_release_may_be_missing() -> None:
    assert probe(make_driver(), management=None).release is None
    silent = types.SimpleNamespace(nvmlInit_v2=lambda: 9)
    assert probe(make_driver(), management=silent).release is None


def test_this_machine_answers_without_raising() -> None:
    assert isinstance(probe_gpus(), Probe)
