"""Kernels for the CPU, compiled by Numba.

To add one: write a function with the name and the signature of an operation in `minicnn.ops`, and list it here.
An operation that is not listed runs its plain body.
"""

from collections.abc import Callable

FILLINGS: dict[str, Callable] = {}
