"""A student's file: load it, and find the functions in it that have an operation's name."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from minicnn.backend import slots
from minicnn.check.running import own_line
from minicnn.errors import ArgumentError, listed


def load_file(path: str | Path) -> ModuleType:
    """Run a Python file and return it as a module; its folder can be imported from.

    Raises `ArgumentError` if there is no such file, or with the file's own line if running it fails.
    """
    path = Path(path)
    if not path.is_file():
        raise ArgumentError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module  # dataclasses, pickling and Numba look the module up by name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        text = f": {error.text.strip()}" if error.text else ""
        raise ArgumentError(f"{path}, line {error.lineno}: {error.msg}{text}") from None
    except Exception as error:
        line = own_line(error, compile("", str(path), "exec"))
        raise ArgumentError(f"{path} cannot be run: {type(error).__name__}: {error}, in {line}") from error
    return module


def candidates_in(module: ModuleType, name: str | None = None) -> dict[str, Callable]:
    """Return the functions of a file that have an operation's name, or the one that was asked for.

    Raises `ArgumentError` if there are none, with the names that are meant.
    """
    own = {key: value for key, value in vars(module).items() if callable(value) and _is_of(module, value)}
    known = slots()
    if name is not None:
        if name not in own:
            raise ArgumentError(f"there is no function {name} in {module.__name__}.py; it has {listed(own) or 'none'}")
        if name not in known:
            raise ArgumentError(f"{name} is not the name of an operation; they are {listed(sorted(known))}")
        return {name: own[name]}
    found = {key: value for key, value in own.items() if key in known}
    if not found:
        raise ArgumentError(
            f"no function in {module.__name__}.py has the name of an operation, such as conv2d_forward; "
            f"it has {listed(own) or 'no function at all'}. A layer is checked by mc.gradcheck(layer, x)"
        )
    return found


def _is_of(module: ModuleType, value: object) -> bool:
    """Return whether something was written in the file, and not imported into it."""
    home = inspect.getmodule(value)
    return getattr(value, "__module__", None) == module.__name__ or home is module
