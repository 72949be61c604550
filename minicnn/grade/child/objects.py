"""Parameters of a student's layer: read and written as arrays."""

from typing import Any

from minicnn.nn.parameter import Parameter


def values(layer: Any) -> dict[str, dict[str, Any]]:
    """Return value and gradient of every parameter among the attributes of a layer, by name."""
    return {name: {"data": p.data, "grad": p.grad} for name, p in vars(layer).items() if isinstance(p, Parameter)}


def set_values(layer: Any, given: dict[str, dict[str, Any]]) -> None:
    """Give parameters these values and gradients; the parameters stay the same objects."""
    for name, content in given.items():
        parameter = vars(layer)[name]
        parameter.data, parameter.grad = content["data"], content["grad"]
