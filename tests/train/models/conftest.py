import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn


@pytest.fixture
def assert_fingerprint(fill: ModuleType, reference: Path):
    """Check a network's outputs and intermediate layers against the official implementation's.

    The network gets the deterministic weights that the fingerprint was made with; only its cases for inputs
    of `shape` are run.
    """

    def check(model: nn.Module, name: str, shape: tuple[int, ...]) -> None:
        golden = json.loads((reference / "models" / f"{name}.json").read_text())
        model.load_state_dict(fill.make_state_dict_torch(str(reference / golden["state_dict"])))
        case = next(case for case in golden["cases"] if tuple(case["input"]["shape"]) == shape)
        seen: dict[str, list[torch.Tensor]] = {}

        def remember(layer: str):
            def hook(module: nn.Module, inputs: object, output: torch.Tensor | list[torch.Tensor]) -> None:
                tensors = output if isinstance(output, list) else [output]
                seen[layer] = [tensor.clone() for tensor in tensors]

            return hook

        for layer in case["intermediates"]:
            model.get_submodule(layer).register_forward_hook(remember(layer))
        given = case["input"]
        images = fill.model_input(given["tag"], given["shape"], given["kind"], given["layout"])
        with torch.no_grad():
            outputs = model.eval()(torch.from_numpy(images))
        if isinstance(outputs, torch.Tensor):
            outputs = outputs.unbind(1) if outputs.ndim == 5 else [outputs]
        assert seen
        pairs = [*zip(outputs, case["outputs"], strict=True)]
        for layer, expected in case["intermediates"].items():
            pairs += zip(seen[layer], expected, strict=True)
        for tensor, expected in pairs:
            fits, message = fill.compare(expected["tag"], tensor.numpy(), expected)
            assert fits, f"{expected['tag']}: {message}"

    return check


@pytest.fixture
def assert_exports(tmp_path: Path):
    """Check that a network's ONNX file, run at other batch sizes, agrees with torch."""
    ort = pytest.importorskip("onnxruntime")

    def check(model: nn.Module, outputs: list[str]) -> None:
        path = tmp_path / "model.onnx"
        model = model.eval()
        batch = torch.export.Dim("batch", min=1, max=16)
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, 64, 96),),
            path,
            dynamo=True,
            input_names=["image"],
            output_names=outputs,
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        for count in (1, 3):
            images = torch.rand(count, 3, 64, 96)
            with torch.no_grad():
                expected = model(images)
            expected = expected if isinstance(expected, list) else [expected]
            for got, want in zip(session.run(outputs, {"image": images.numpy()}), expected, strict=True):
                assert got.shape == tuple(want.shape)
                assert torch.allclose(torch.from_numpy(got), want, rtol=1e-3, atol=1e-5)

    return check
