"""What makers state of their accelerators: arithmetic, memory, and the links between the devices of one machine.

A device is what JAX calls so: one core of a TPU v2 or v3, a whole chip from v4 on.
"""

from typing import NamedTuple


class Accelerator(NamedTuple):
    """The data sheet of one device.

    Attributes:
      kinds: its names as `jax.Device.device_kind` spells them.
      flops: floating-point operations a second by compute dtype, without sparsity, in the units that JAX uses by
        default for convolutions and matrix products: float32 is TF32 on NVIDIA's tensor cores from Ampere on, and one
        pass of bfloat16 on TPUs. A dtype without such units is absent.
      memory: bytes.
      bandwidth: bytes a second between the device and its memory.
      links: bytes a second that it can send to the other devices of its machine or slice while it receives as many:
        half of the sum over both directions, which makers state.
    """

    kinds: tuple[str, ...]
    flops: dict[str, float]
    memory: float
    bandwidth: float
    links: float


def _tensor_cores(bfloat16: float) -> dict[str, float]:
    return {"bfloat16": bfloat16, "float32": bfloat16 / 2}


def _tpu(kinds: tuple[str, ...], flops: float, memory: float, bandwidth: float, links: float) -> Accelerator:
    return Accelerator(kinds, {"bfloat16": flops, "float32": flops}, memory, bandwidth, links)


ACCELERATORS = {
    # https://www.nvidia.com/en-us/data-center/h100/ and h200/, the column of each form (with sparsity they state twice
    # as much arithmetic). PCIe and NVL: NVLink to one other card.
    "h100": Accelerator(("NVIDIA H100 80GB HBM3",), _tensor_cores(989.4e12), 80e9, 3350e9, 450e9),
    "h100-pcie": Accelerator(("NVIDIA H100 PCIe",), _tensor_cores(756e12), 80e9, 2000e9, 300e9),
    "h100-nvl": Accelerator(("NVIDIA H100 NVL",), _tensor_cores(835.5e12), 94e9, 3900e9, 300e9),
    "h200": Accelerator(("NVIDIA H200",), _tensor_cores(989.4e12), 141e9, 4800e9, 450e9),
    # https://www.nvidia.com/en-us/data-center/a100/
    "a100-40gb": Accelerator(
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"), _tensor_cores(312e12), 40e9, 1555e9, 300e9
    ),
    "a100-80gb": Accelerator(("NVIDIA A100-SXM4-80GB",), _tensor_cores(312e12), 80e9, 2039e9, 300e9),
    "a100-80gb-pcie": Accelerator(("NVIDIA A100 80GB PCIe",), _tensor_cores(312e12), 80e9, 1935e9, 300e9),
    # https://www.nvidia.com/en-us/data-center/v100/; its tensor cores know neither bfloat16 nor TF32. The cards of PCIe
    # Gen3 and Gen4 without NVLink: 16 lanes.
    "v100-16gb": Accelerator(("Tesla V100-SXM2-16GB",), {"float32": 15.7e12}, 16e9, 900e9, 150e9),
    "v100-32gb": Accelerator(("Tesla V100-SXM2-32GB",), {"float32": 15.7e12}, 32e9, 900e9, 150e9),
    "v100-16gb-pcie": Accelerator(("Tesla V100-PCIE-16GB",), {"float32": 14e12}, 16e9, 900e9, 16e9),
    "v100-32gb-pcie": Accelerator(("Tesla V100-PCIE-32GB",), {"float32": 14e12}, 32e9, 900e9, 16e9),
    # https://www.nvidia.com/en-us/data-center/l4/
    "l4": Accelerator(("NVIDIA L4",), {"bfloat16": 121e12, "float32": 60e12}, 24e9, 300e9, 32e9),
    # https://docs.cloud.google.com/tpu/docs/v5e, /v5p and /v6e: "bidirectional inter-chip interconnect per chip"; /v4
    # states none: its "all-reduce bandwidth per pod" by its 4096 chips (for v5e and v6e that is the same number).
    "v4": _tpu(("TPU v4",), 275e12, 32 * 2**30, 1200e9, 268e9),
    "v5e": _tpu(("TPU v5 lite", "TPU v5e"), 197e12, 16e9, 819e9, 200e9),
    "v5p": _tpu(("TPU v5", "TPU v5p"), 459e12, 95e9, 2765e9, 600e9),
    "v6e": _tpu(("TPU v6 lite", "TPU v6e"), 918e12, 32e9, 1638e9, 400e9),
}
"""Accelerators by the names that people call them."""

# Half a chip each, https://cloud.google.com/tpu/docs/system-architecture-tpu-vm
_CORES = {"TPU v2": 22.5e12, "TPU v3": 61.5e12}

PEAKS = {kind: one.flops for one in ACCELERATORS.values() for kind in one.kinds} | {
    kind: {"bfloat16": peak, "float32": peak} for kind, peak in _CORES.items()
}
"""FLOP/s by `jax.Device.device_kind` and compute dtype."""


def peak(kind: str, dtype: str) -> float | None:
    """Return the FLOP/s of a device kind, as JAX spells it, for a compute dtype; None if they are not known.

    A kind that is not in the table, such as a slice of a GPU, has none rather than that of a similar one.
    """
    return PEAKS.get(kind, {}).get(dtype)
