import numpy as np
import pytest

from engine.cuda import self_check
from engine.cuda.self_check import check_kernels
from tests.engine.cuda.shim_device import ShimDevice
from tests.engine.cuda.shim_library import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="kernels run on the CPU through g++")


@pytest.fixture
def device() -> ShimDevice:
    return ShimDevice()


@pytest.mark.slow
def test_every_kernel_agrees_with_its_twin_in_both_types(device: ShimDevice) -> None:
    checks = check_kernels(device)
    assert {(check.kernel, check.dtype) for check in checks} == {
        (kernel, dtype) for kernel, *_ in self_check.KERNELS for dtype in ("float32", "float16")
    }
    assert all(check.passed and check.error is None for check in checks), checks
    assert device.left_open() == []


def test_a_kernel_that_computes_something_else_fails(
    device: ShimDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = self_check.prepare_twin
    monkeypatch.setattr(
        self_check, "prepare_twin", lambda *given, **more: twin(*given, **more) + np.float16(1)
    )
    monkeypatch.setattr(self_check, "KERNELS", self_check.KERNELS[:1])
    assert [check.passed for check in check_kernels(device)] == [False, False]


def test_a_device_that_is_lost_is_told_and_not_raised(device: ShimDevice) -> None:
    device.lose()
    checks = check_kernels(device)
    assert not any(check.passed for check in checks)
    assert any(check.error and "lost" in check.error for check in checks)


def test_nan_on_one_side_is_no_agreement() -> None:
    assert self_check._gap(np.array([np.nan, 1]), np.array([1.0, 1])) == np.inf
    assert self_check._gap(np.array([np.nan, 1]), np.array([np.nan, 1.5])) == 0.5
