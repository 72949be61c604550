"""One call of an operation, with its right results."""

from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minicnn.backend import Key, slots, use_backend
from minicnn.backend.slots import Slot
from minicnn.check.running import copied
from minicnn.ops import random_normal

PAIRS = ("kernel", "stride", "padding", "output_padding", "dilation", "pool_kernel", "pool_stride", "pool_padding")
BATCHED = frozenset(
    "x shortcut dy y cols logits labels targets probabilities argmax mask coordinates row column "  # noqa: SIM905
    "h0 c0 c gates lengths".split()
)
"""Arguments and results whose first axis is the batch; the update steps have none."""


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes
    ----------
    label : str
        What is special about it: "stride 2", "a batch of one".
    args, options : dict
        Positional arguments and keywords, by name and in order.
    optional : bool
        Whether it is beyond the usual, so that a candidate may refuse it, and a wrong result is only worth knowing.
    tied : bool
        Whether it holds equal maxima or numbers on a kink.
    """

    label: str
    args: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    optional: bool = False
    tied: bool = False

    def describe(self) -> str:
        """Return the call as one would type it, with shapes for arrays."""
        words = [f"{name} {np.shape(value)}" for name, value in self.args.items() if isinstance(value, np.ndarray)]
        words += [f"{name}={value}" for name, value in self.options.items() if isinstance(value, int | float | tuple)]
        return f"{self.label}: {', '.join(words)}"

    @property
    def everything(self) -> dict[str, Any]:
        """All arguments by name."""
        return {**self.args, **self.options}

    def changed(self, changes: Mapping[str, Any]) -> "Case":
        """Return the case with other values for some arguments."""
        return replace(
            self,
            args={name: changes.get(name, value) for name, value in self.args.items()},
            options={**self.options, **{n: v for n, v in changes.items() if n not in self.args}},
        )

    def in_single_precision(self) -> "Case":
        """Return the case in float32."""
        return replace(
            self,
            label=f"{self.label}, float32",
            args={name: _single(value) for name, value in self.args.items()},
            options={name: _single(value) for name, value in self.options.items()},
        )

    def with_numbers(self) -> "Case | None":
        """Return the case with stride=2 for (2, 2), or None where a pair has two different numbers."""
        options = dict(self.options)
        for name in PAIRS:
            value = options.get(name)
            if isinstance(value, tuple):
                if value[0] != value[1]:
                    return None
                options[name] = value[0]
        return replace(self, options=options)


def reference(operation: Slot, case: Case) -> dict[str, Any]:
    """Return the right results by name: those of the plain body, whatever backend is in use and whatever is plugged."""

    def run() -> Any:
        with use_backend("numpy"), np.errstate(all="ignore"):
            return operation.body(*map(copied, case.args.values()), **case.options)

    return named_results(operation, Context().run(run))


def named_results(operation: Slot, results: Any) -> dict[str, Any]:
    """Return results by name; those of a list one by one: ws[0], ws[1]."""
    several = results if len(operation.returns) > 1 else (results,)
    named: dict[str, Any] = {}
    for name, value in zip(operation.returns, several, strict=True):
        if isinstance(value, list):
            named.update({f"{name}[{i}]": item for i, item in enumerate(value)})
        else:
            named[name] = value
    for value in named.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False  # it is kept, and reports hand it out
    return named


def forward_of(operation: Slot) -> Slot | None:
    """Return the operation whose gradients this one computes, if it is a backward one."""
    if not operation.name.endswith("_backward"):
        return None
    return slots()[operation.name.removesuffix("_backward") + "_forward"]


NO_DEFAULT = object()


def default_of(operation: Slot, name: str) -> Any:
    """Return the default of an option, also of one that the operation hands on (`**options`); else `NO_DEFAULT`."""
    for slot, known in ((operation, name), *((slots()[used], name.removeprefix("pool_")) for used in operation.uses)):
        parameter = slot.signature.parameters.get(known)
        if parameter is not None and parameter.default is not parameter.empty:
            return parameter.default
    return NO_DEFAULT


@dataclass(frozen=True)
class Examination:
    """A case with its right results, and, for a backward operation, the forward call that it belongs to."""

    case: Case
    expected: dict[str, Any]
    forward: Case | None = None


def _single(value: Any) -> Any:
    if isinstance(value, list):
        return [_single(item) for item in value]
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(np.float32) if is_float else value


def normal(number: int, stream: int, *shape: int) -> np.ndarray:
    """Return normal random numbers, the same for each case's number and argument's stream."""
    return Context().run(random_normal, Key(2015, stream, number), shape=shape)  # whatever is plugged at the moment
