"""The most floating-point operations a second that makers state for their devices: what utilisations are fractions of.

Without sparsity, in the units that JAX uses by default for convolutions and matrix products of a dtype: float32 is TF32
on NVIDIA's tensor cores from Ampere on, and one pass of bfloat16 on TPUs. A device is what JAX calls so: one core of a
TPU v2 or v3, a whole chip from v4 on.
"""

_NVIDIA = {
    # https://www.nvidia.com/en-us/data-center/h100/, the column of each form; with sparsity they state twice as much.
    ("NVIDIA H100 80GB HBM3", "NVIDIA H200"): {"bfloat16": 989.4e12, "float32": 494.7e12},
    ("NVIDIA H100 PCIe",): {"bfloat16": 756e12, "float32": 378e12},
    ("NVIDIA H100 NVL",): {"bfloat16": 835.5e12, "float32": 417.5e12},
    # https://www.nvidia.com/en-us/data-center/a100/
    ("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe"): {
        "bfloat16": 312e12,
        "float32": 156e12,
    },
    # https://www.nvidia.com/en-us/data-center/v100/; its tensor cores know neither bfloat16 nor TF32.
    ("Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB"): {"float32": 15.7e12},
    ("Tesla V100-PCIE-16GB", "Tesla V100-PCIE-32GB"): {"float32": 14e12},
    # https://www.nvidia.com/en-us/data-center/l4/
    ("NVIDIA L4",): {"bfloat16": 121e12, "float32": 60e12},
}

_TPU = {  # bfloat16, https://cloud.google.com/tpu/docs/system-architecture-tpu-vm
    ("TPU v2",): 22.5e12,
    ("TPU v3",): 61.5e12,
    ("TPU v4",): 275e12,
    ("TPU v5 lite", "TPU v5e"): 197e12,
    ("TPU v5", "TPU v5p"): 459e12,
    ("TPU v6 lite", "TPU v6e"): 918e12,
}

PEAKS = {kind: peaks for kinds, peaks in _NVIDIA.items() for kind in kinds} | {
    kind: {"bfloat16": peak, "float32": peak} for kinds, peak in _TPU.items() for kind in kinds
}
"""FLOP/s by `jax.Device.device_kind` and compute dtype."""


def peak(kind: str, dtype: str) -> float | None:
    """Return the FLOP/s of a device kind, as JAX spells it, for a compute dtype; None if they are not known.

    A kind that is not in the table, such as a slice of a GPU, has none rather than that of a similar one.
    """
    return PEAKS.get(kind, {}).get(dtype)
