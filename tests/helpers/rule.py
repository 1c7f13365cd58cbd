"""The rule of the goldens: every weight and input is a pure function of its name."""

import math
import zlib

import numpy as np


def tensor(name, shape, kind="normal"):
    stream = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    draw = stream.random_sample(shape) if kind == "uniform" else stream.standard_normal(shape)
    return draw.astype(np.float32)


def image(name, shape):
    """Uniform in [-1, 1], NHWC; `shape` is NCHW, the goldens' order."""
    return nhwc(2.0 * tensor(name, shape, "uniform") - 1.0)


def weight(name, shape, equalized=False):
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        return np.float32(0.5) + tensor(name, shape, "uniform")
    if leaf == "running_mean":
        return np.float32(0.1) * tensor(name, shape)
    if len(shape) <= 1 or (len(shape) == 4 and shape[0] == 1 and tuple(shape[2:]) == (1, 1)):
        small = np.float32(0.1) * tensor(name, shape)
        return np.float32(1.0) + small if leaf == "weight" else small
    if equalized:
        return tensor(name, shape)
    return tensor(name, shape) / np.float32(math.sqrt(math.prod(shape[1:])))


def state(tag, prefix, entries, equalized=False):
    """{name: array} for the json's [name, shape, how] entries; `fixed` ones, which hold no weights, are left out."""
    result = {}
    for name, shape, how in entries:
        if how == "fixed":
            continue
        kind, _, factor = how.partition("*")
        if kind != "rule":
            raise ValueError(f"golden state entry '{name}' has the unknown kind '{how}'")
        result[name] = weight(f"{tag}/{prefix}.{name}", tuple(shape), equalized) * np.float32(factor or 1.0)
    return result


def nhwc(array):
    return np.moveaxis(array, -3, -1)


def nchw(array):
    return np.moveaxis(np.asarray(array), -1, -3)


def strided(array, golden):
    """NCHW `array` at the stride with which the `golden` map was stored."""
    step = array.shape[-1] // golden.shape[-1]
    return array[..., ::step, ::step]


def relative_error(ours, golden):
    """||ours - golden|| / ||golden||."""
    ours, golden = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
    if ours.shape != golden.shape:
        raise ValueError(f"shape {ours.shape} against the golden's {golden.shape}")
    return np.linalg.norm(ours - golden) / np.linalg.norm(golden)
