"""What a candidate returned, brought to arrays by name; or what makes that impossible."""

import inspect
from typing import Any

import numpy as np

from minicnn.backend.slots import Slot
from minicnn.check.case import Case

Arrays = dict[str, np.ndarray]


def settled(operation: Slot, results: Any, case: Case, expected: dict[str, Any]) -> tuple[Arrays, str]:
    """Return copies of the results by name, and what is wrong with their form, which then leaves the first empty.

    Copies, since a candidate may hand out the same array again and write another result into it.
    """
    values, problem = by_name(operation, results, case)
    found: Arrays = {}
    for name, value in values.items():
        if value is None and (name not in expected or expected[name] is None):
            continue  # dx, which nobody needs
        array, wrong = _as_array(name, value, np.asarray(expected.get(name, 0.0)).dtype)
        problem = problem or wrong
        if array is not None:
            found[name] = array
    return ({}, problem) if problem else (found, "")


def by_name(operation: Slot, results: Any, case: Case) -> tuple[dict[str, Any], str]:
    """Return the results as they are, by name, and what is wrong with their number."""
    names = operation.returns
    all_of_them = ", ".join(names)
    if results is None:
        return {}, "it returned None; is a return missing?"
    if inspect.iscoroutine(results):
        results.close()
        return {}, "it returned a coroutine; write `def` instead of `async def`"
    if inspect.isgenerator(results):
        return {}, "it returned a generator; write `return` instead of `yield`"
    if isinstance(results, dict):
        return {}, f"it returned a dict; return {all_of_them}, in this order"
    several = isinstance(results, tuple | list)
    if len(names) == 1 and isinstance(results, list) and not _is_list_of_arrays(results):
        return {}, f"it returned a list; return an array: np.array({names[0]})"
    if len(names) == 1 and several:
        count = len(results)
        if count == 1:
            return {}, f"it returned a {type(results).__name__} with {names[0]} in it; return {names[0]} alone"
        return {}, f"it returned {count} values; expected one: {names[0]}"
    count = len(results) if several else 1
    if count != len(names):
        return {}, f"it returned {count} value{'s' * (count != 1)}; expected {len(names)}: {all_of_them}"
    found: dict[str, Any] = {}
    for name, value in zip(names, results if several else [results], strict=True):
        given = case.args.get(name)
        if isinstance(given, list) and isinstance(value, tuple | list):  # updates of several parameters
            if len(value) != len(given):
                return {}, f"{name} has {len(value)} entries; expected {len(given)}, one for each parameter"
            found.update({f"{name}[{i}]": item for i, item in enumerate(value)})
        else:
            found[name] = value
    return found, ""


def _is_list_of_arrays(results: list) -> bool:
    return bool(results) and all(isinstance(item, np.ndarray) for item in results)


def _as_array(name: str, value: Any, dtype: np.dtype) -> tuple[np.ndarray | None, str]:
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "fiub":
            return np.array(value), ""
        return None, f"{name} is an array of {value.dtype}; real numbers belong there"
    if isinstance(value, bool | int | float):
        return np.asarray(value, dtype=dtype), ""  # a number without a type of its own fits any
    if value is None:
        return None, f"{name} is None"
    if isinstance(value, list | tuple):
        return None, f"{name} is a {type(value).__name__}; return an array: np.array({name})"
    more = "; .numpy() makes one" if hasattr(value, "numpy") else ""
    return None, f"{name} is a {type(value).__name__}; a NumPy array belongs there{more}"
