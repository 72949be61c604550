"""A student's file: load it, and find the functions in it that have an operation's name."""

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from minicnn.backend import slots
from minicnn.check.running import own_line, said
from minicnn.errors import ArgumentError, listed


def load_file(path: str | Path) -> ModuleType:
    """Run a Python file and return it as a module; its folder can be imported from.

    Raises `ArgumentError` if there is no such file, or with the file's own line if running it fails.
    """
    if not Path(path).is_file():
        raise ArgumentError(f"there is no file {path}")
    path = Path(path).resolve()
    name = f"student_{path.stem}"  # a file may be called random.py, or minicnn.py
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"{path.name} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent)
    sys.path.insert(0, folder)
    sys.modules[name] = module  # dataclasses, pickling and Numba look the module up by name
    try:
        spec.loader.exec_module(module)
    except SystemExit:
        raise ArgumentError(f"{path.name} ends the program itself (sys.exit or exit); take that out") from None
    except SyntaxError as error:
        text = f": {error.text.strip()}" if error.text else ""
        raise ArgumentError(f"{path.name}, line {error.lineno}: {error.msg}{text}") from None
    except Exception as error:
        line = own_line(error, compile("", str(path), "exec"))
        raise ArgumentError(f"{path.name} cannot be run: {said(error)}, in {line}") from error
    finally:
        sys.path.remove(folder)
    return module


def candidates_in(module: ModuleType, name: str | None = None) -> dict[str, Callable]:
    """Return the functions of a file that have an operation's name, or the one that was asked for.

    Raises `ArgumentError` if there are none, with the names that are meant.
    """
    own = {key: value for key, value in vars(module).items() if callable(value) and _is_of(module, value)}
    known = slots()
    if name is not None:
        if name not in own:
            raise ArgumentError(f"there is no function {name} in {_file(module)}; it has {listed(own) or 'none'}")
        if name not in known:
            raise ArgumentError(f"{name} is not the name of an operation; they are {listed(sorted(known))}")
        return {name: own[name]}
    found = {key: value for key, value in own.items() if key in known}
    if not found:
        raise ArgumentError(
            f"no function in {_file(module)} has the name of an operation, such as conv2d_forward; "
            f"it has {listed(own) or 'no function at all'}. A layer or a loss is checked by mc.gradcheck(layer, x)"
        )
    return found


def _file(module: ModuleType) -> str:
    return Path(module.__file__ or module.__name__).name


def _is_of(module: ModuleType, value: object) -> bool:
    """Return whether something was written in the file, and not imported into it."""
    while isinstance(value, functools.partial):
        value = value.func
    return getattr(value, "__module__", None) == module.__name__ or inspect.getmodule(value) is module
