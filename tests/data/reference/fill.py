"""Deterministic weights / inputs for the conformance checks.

Needs only numpy (torch is optional, used by the two ``*_torch`` helpers).
Nothing here depends on a reference repository, on a random-number library or on the
order in which a model is constructed: every tensor is a pure function of its *name*
and *shape*.

Generator
---------
``u(name, n)`` = n doubles in [0, 1), element i being

    z  = (crc32(name) + 1) * 0x9E3779B97F4A7C15 + (i + 1) * 0xD1B54A32D192ED03  (mod 2**64)
    z  = (z ^ z>>30) * 0xBF58476D1CE4E5B9 ; z = (z ^ z>>27) * 0x94D049BB133111EB
    z  =  z ^ z>>31                                                             (splitmix64)
    u  = (z >> 11) * 2**-53

All arithmetic is done in uint64 / float64 and only the final value is cast to float32,
so the result is identical on every machine and numpy version.

Rule for a state_dict entry (``name`` = official key, no ``module.`` / ``1.`` prefix)
-------------------------------------------------------------------------------------
    *.running_mean          U(-0.10, 0.10)
    *.running_var           U( 0.60, 1.60)
    *.num_batches_tracked   int64, crc32(name) % 1000
    *.weight, ndim >= 2     U(-1,1) * sqrt(3) * sqrt(1.4 / fan_in),  fan_in = prod(shape[1:])
                            (for ConvTranspose2d this is out*kh*kw, on purpose: the rule
                            must not need to know the module type)
    *.weight, ndim == 1     U( 0.40, 0.80)            (batch-norm gamma)
    *.bias                  U(-0.05, 0.05)
    anything else           U(-0.10, 0.10)

With these constants activations stay O(1) through HRNet (O(10^4) after eight hourglass
stacks), about 75% of the channels that enter a ReLU change sign somewhere in the map and
about 5% are dead, so single mistakes are visible in the output.
"""

import json
import zlib

import numpy as np

_A = 0x9E3779B97F4A7C15
_B = np.uint64(0xD1B54A32D192ED03)
_M = (1 << 64) - 1


def crc(name):
    return zlib.crc32(name.encode("utf-8")) & 0xFFFFFFFF


def u(name, n):
    """n doubles in [0, 1), a pure function of name."""
    seed = np.uint64(((crc(name) + 1) * _A) & _M)
    with np.errstate(over="ignore"):
        z = (np.arange(1, int(n) + 1, dtype=np.uint64) * _B) + seed
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * (2.0**-53)


def uniform(name, shape, lo, hi):
    """float64 array U(lo, hi)."""
    n = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    return (lo + (hi - lo) * u(name, n)).reshape(shape)


def fill(name, shape):
    """numpy array for one state_dict entry (float32, or int64 for counters)."""
    shape = tuple(int(s) for s in shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.array(crc(name) % 1000, dtype=np.int64).reshape(shape)
    if leaf == "running_mean":
        a = uniform(name, shape, -0.10, 0.10)
    elif leaf == "running_var":
        a = uniform(name, shape, 0.60, 1.60)
    elif leaf == "weight" and len(shape) >= 2:
        fan_in = float(np.prod(shape[1:], dtype=np.int64))
        a = uniform(name, shape, -1.0, 1.0) * np.sqrt(3.0) * np.sqrt(1.4 / fan_in)
    elif leaf == "weight":
        a = uniform(name, shape, 0.40, 0.80)
    elif leaf == "bias":
        a = uniform(name, shape, -0.05, 0.05)
    else:
        a = uniform(name, shape, -0.10, 0.10)
    return a.astype(np.float32)


def model_input(tag, shape, kind, layout="NCHW"):
    """Fixed network input, float32. Four layers of noise in blocks of 1, 4, 16 and 64
    pixels, so that every resolution of the network sees structure.
    kind 'normal': mean 0, variance 1; kind 'unit': clip(0.5 + 0.4 * normal, 0, 1).
    The noise is always generated in NCHW order and transposed when layout is NHWC."""
    n, c, h, w = shape if layout == "NCHW" else (shape[0], shape[3], shape[1], shape[2])
    x = np.zeros((n, c, h, w))
    for s in (1, 4, 16, 64):
        hs, ws = -(-h // s), -(-w // s)
        z = uniform(f"input:{tag}:{s}", (n, c, hs, ws), -np.sqrt(3.0), np.sqrt(3.0))
        x += 0.5 * z[:, :, np.arange(h)[:, None] // s, np.arange(w)[None, :] // s]
    if kind == "unit":
        x = np.clip(0.5 + 0.4 * x, 0.0, 1.0)
    elif kind != "normal":
        raise ValueError(kind)
    return np.ascontiguousarray(x if layout == "NCHW" else x.transpose(0, 2, 3, 1)).astype(np.float32)


def sample_index(tag, numel, k=64):
    """k flat (C-order) indices into an array of numel elements."""
    return np.minimum((u("sample:" + tag, k) * numel).astype(np.int64), numel - 1)


def make_state_dict(spec):
    """spec: path of a state_dict/*.json, or its parsed content. Returns an ordered
    {official key: numpy array}; wrap with torch.from_numpy to get a checkpoint."""
    if isinstance(spec, str):
        with open(spec) as f:
            spec = json.load(f)
    entries = spec["entries"] if isinstance(spec, dict) else spec
    return {e[0]: fill(e[0], e[1]) for e in entries}


def make_state_dict_torch(spec):
    import torch

    return {k: torch.from_numpy(np.array(v)) for k, v in make_state_dict(spec).items()}


def fill_module_torch(module, rename=lambda k: k):
    """Fill a torch module in place. ``rename`` maps the module's own key to the official
    key (identity if they agree). Every state_dict entry is overwritten."""
    import torch

    sd = module.state_dict()
    new = {k: torch.from_numpy(np.array(fill(rename(k), tuple(v.shape)))).to(v.dtype) for k, v in sd.items()}
    module.load_state_dict(new, strict=True)
    return module


def fingerprint(tag, array, k=64):
    """Compact JSON-able description of one array (computed in float64)."""
    a = np.asarray(array, dtype=np.float64)
    f = a.reshape(-1)
    idx = sample_index(tag, f.size, k)
    out = {
        "shape": list(a.shape),
        "mean": float(f.mean()),
        "std": float(f.std()),
        "min": float(f.min()),
        "max": float(f.max()),
        "abs_mean": float(np.abs(f).mean()),
        "index": [int(i) for i in idx],
        "value": [float(v) for v in f[idx]],
    }
    out["scale"] = float(a.std(axis=(-2, -1)).mean()) if a.ndim >= 3 else out["std"]
    if a.ndim == 4:
        out["channel_mean"] = [float(v) for v in a.mean(axis=(0, 2, 3))]
    return out


def compare(tag, array, golden, rtol=1e-3):
    """Returns (ok, message). Error is measured in units of golden["scale"] = the mean over
    maps of the spatial standard deviation, so one number fits every layer and a constant
    offset of the maps does not hide an error in their structure."""
    got = fingerprint(tag, array, len(golden["index"]))
    if got["shape"] != golden["shape"]:
        return False, f"shape {got['shape']}, expected {golden['shape']}"
    scale = max(golden["scale"], 1e-12)
    worst = 0.0
    for key in ("mean", "std", "min", "max"):
        worst = max(worst, abs(got[key] - golden[key]) / scale)
    worst = max(worst, float(np.max(np.abs(np.array(got["value"]) - np.array(golden["value"])))) / scale)
    if "channel_mean" in golden:
        means = np.array(got["channel_mean"]) - np.array(golden["channel_mean"])
        worst = max(worst, float(np.max(np.abs(means))) / scale)
    return worst <= rtol, f"worst error {worst:.3g} of the map scale (limit {rtol:.3g})"


if __name__ == "__main__":
    # self-check: pinned values, so that a changed generator is noticed
    a = fill("conv1.weight", (64, 3, 3, 3))
    b = fill("bn1.running_var", (64,))
    print(a.reshape(-1)[:3].tolist(), b[:3].tolist(), int(fill("bn1.num_batches_tracked", ())))
