"""Write cupy_api.json: the names and arguments that the installed CuPy has, which the strict device is held to.

    pip install cupy-cuda13x && python tests/gpu/make_cupy_api.py

CuPy can be imported without a GPU, so any machine will do. Run it anew for a new CuPy and read the difference.
"""

import importlib
import inspect
import json
import re
import warnings
from pathlib import Path

FILE = Path(__file__).with_name("cupy_api.json")
MODULES = (
    "cupy",
    "cupy.cuda",
    "cupy.cuda.runtime",
    "cupy.lib.stride_tricks",
    "cupy.linalg",
    "cupy.random",
    "cupyx",
    "cupyx.scipy.special",
)
CLASSES = (
    "cupy.ndarray",
    "cupy.RawKernel",
    "cupy.RawModule",
    "cupy.random.Generator",
    "cupy.cuda.Device",
    "cupy.cuda.Event",
    "cupy.cuda.MemoryPointer",
    "cupy.cuda.MemoryPool",
    "cupy.cuda.PinnedMemoryPointer",
    "cupy.cuda.PinnedMemoryPool",
    "cupy.cuda.Stream",
)


def arguments_of(function):
    """The names of a function's arguments; None where it hides them."""
    import cupy

    if isinstance(function, cupy.ufunc):
        return None
    try:
        return [parameter.name for parameter in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return None


def kind_of(value):
    """What a name stands for, as far as a double must know."""
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "class"
    return "function" if callable(value) else "constant"


def names_of_module(name):
    module = importlib.import_module(name)
    hidden = [path.rpartition(".")[2] for path in CLASSES if path.rpartition(".")[0] == name]  # loaded when asked for
    public = {item: getattr(module, item) for item in {*dir(module), *hidden} if not item.startswith("_")}
    return {item: [kind_of(value), arguments_of(value)] for item, value in sorted(public.items())}


def names_of_class(path):
    module, _, name = path.rpartition(".")
    return sorted(dir(getattr(importlib.import_module(module), name)))


def snapshot():
    import cupy

    return {
        "version": cupy.__version__,
        "modules": {name: names_of_module(name) for name in MODULES},
        "classes": {path: names_of_class(path) for path in CLASSES},
    }


def as_text(api):
    """JSON with one line a name, so that the difference between two versions can be read."""
    text = json.dumps(api, indent=1)
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"


if __name__ == "__main__":
    warnings.filterwarnings("ignore")  # CuPy warns that there is no GPU
    FILE.write_text(as_text(snapshot()))
    print(f"{FILE}: {FILE.stat().st_size} bytes")
