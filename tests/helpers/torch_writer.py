"""Writes the files of torch.save without torch: the same pickle, by the same pickler, and the same records."""

import contextlib
import dataclasses
import io
import pickle
import sys
import types
import zipfile
from collections import Counter, OrderedDict

import numpy as np

NAMES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclasses.dataclass(eq=False)
class Storage:
    """One-dimensional array; `size` is what the pickle claims of its length."""

    numbers: np.ndarray
    size: int = -1

    def __post_init__(self):
        self.size = self.numbers.size if self.size < 0 else self.size

    def __reduce_ex__(self, protocol):
        """Pickle without `torch.save`, as a stream inside the pickle."""
        return sys.modules["torch.storage"]._load_from_bytes, (stream(self),)


@dataclasses.dataclass(eq=False)
class Tensor:
    """Any view of a storage, in elements, or what claims to be one."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple

    def __reduce_ex__(self, protocol):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, self.offset, self.shape, self.strides, False, OrderedDict())


@dataclasses.dataclass(eq=False)
class Parameter:
    tensor: Tensor

    def __reduce_ex__(self, protocol):
        return sys.modules["torch._utils"]._rebuild_parameter, (self.tensor, True, OrderedDict())


def tensor(array):
    """A contiguous tensor with a storage of its own."""
    array = np.asarray(array)
    strides = tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides)
    return Tensor(Storage(array.reshape(-1)), 0, array.shape, strides)


def state_dict(arrays):
    """As a module's: an OrderedDict that carries the versions of the modules as an attribute."""
    state = OrderedDict((name, a if isinstance(a, Tensor) else tensor(a)) for name, a in arrays.items())
    state._metadata = OrderedDict([("", {"version": 1}), ("norm", {"version": 2})])
    return state


def checkpoint(arrays):
    """As SegFace's training script saves it: weights, AdamW and MultiStepLR."""
    moments = {i: {"step": tensor(np.float32(7)), "exp_avg": tensor(np.ones(3, np.float32))} for i in range(3)}
    group = {"lr": 1e-4, "betas": (0.9, 0.999), "foreach": None, "amsgrad": False, "params": [0, 1, 2]}
    return {
        "epoch": 299,
        "iteration": 226_500,
        "state_dict_backbone": state_dict(arrays),
        "optimizer": {"state": moments, "param_groups": [group]},
        "scheduler": {"milestones": Counter({80: 1, 200: 1}), "gamma": 0.1, "base_lrs": [1e-4], "verbose": False},
    }


def dumps(content, *views):
    """(pickle of `content`, its storages in the order of their keys); `views` ends every reference to a storage."""
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            if value not in storages:
                storages.append(value)
            kind = getattr(sys.modules["torch"], NAMES[value.numbers.dtype.name])
            return "storage", kind, str(storages.index(value)), "cuda:0", value.size, *views

    file = io.BytesIO()
    with torch():
        Pickler(file, protocol=2).dump(content)
    return file.getvalue(), storages


SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def stream(content, system=SYSTEM):
    """What `torch.save` wrote before 1.6, and writes for the storage of a tensor in another pickle."""
    pickled, storages = dumps(content, None)
    keys = sorted(str(i) for i in range(len(storages)))
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, system)]
    numbers = [storages[int(key)].numbers for key in keys]
    data = [each.size.to_bytes(8, "little") + each.tobytes() for each in numbers]
    return b"".join([*head, pickled, pickle.dumps(keys, 2), *data])


def save(path, content, **options):
    """`torch.save(content, path)`."""
    pickled, storages = dumps(content)
    write(path, pickled, [storage.numbers.tobytes() for storage in storages], **options)


def write(path, pickled, records=(), *, byteorder=b"little", compression=zipfile.ZIP_STORED, descriptors=False):
    """The zip around a pickle and the storages; with `descriptors`, sizes stand behind the data as in torch's files."""
    content = {
        "data.pkl": pickled,
        ".format_version": b"1",
        ".storage_alignment": b"64",
        "byteorder": byteorder,
        **{f"data/{i}": record for i, record in enumerate(records)},
        "version": b"3\n",
        ".data/serialization_id": b"0" * 40,
    }
    file = _Unseekable() if descriptors else io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, record in content.items():
            archive.writestr(f"{path.stem}/{name}", record)
    path.write_bytes(file.getvalue())


class _Unseekable(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation


def function(name):
    """A function that the pickler finds under its dotted `name`."""
    module, _, name = name.rpartition(".")
    found = types.FunctionType((lambda: None).__code__, {}, name)
    found.__module__, found.__qualname__ = module, name
    return found


@contextlib.contextmanager
def modules(content):
    """Modules that the pickler looks names up in before it writes them: {dotted name: what it stands for}."""
    parts = [name.split(".")[:-1] for name in content]
    made = {".".join(part[: i + 1]) for part in parts for i in range(len(part))} - set(sys.modules)
    sys.modules |= {name: types.ModuleType(name) for name in made}
    for name, value in content.items():
        module, _, name = name.rpartition(".")
        if module in made:
            setattr(sys.modules[module], name, value)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def torch():
    """The modules of torch, where they are not there yet."""
    functions = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.storage._load_from_bytes")
    storages = {f"torch.{name}": type(name, (), {"__module__": "torch"}) for name in NAMES.values()}
    return modules({name: function(name) for name in functions} | storages)
