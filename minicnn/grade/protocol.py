"""Messages between the grader and the process that a student's file runs in.

    12 bytes    length of the JSON text (4) and of the data (8)
    JSON        the message; where an array stood, {"array": [dtype, shape]}
    data        the numbers of all arrays, one array after the other, row by row

Nothing is unpickled, so a message is never more than numbers and words. Whatever comes from a student's process is
checked before memory is set aside for it. (The header of an .npy file may promise more numbers than follow; here that
is an error.)
"""

import json
import math
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backend import Key

HEADER = struct.Struct(">IQ")
LARGEST_TEXT = 4 * 2**20
DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
}
MOST_AXES = 32


class ProtocolError(ValueError):
    """A message is not what it should be."""


def send(connection: socket.socket, message: Any) -> None:
    """Write a message. Raises `TypeError` for a value that no message can hold, before anything is written."""
    arrays: list[np.ndarray] = []
    text = json.dumps(_to_json(message, arrays)).encode()
    data = b"".join(array.tobytes() for array in arrays)
    connection.sendall(HEADER.pack(len(text), len(data)) + text)
    connection.sendall(data)


def receive(connection: socket.socket, *, largest: int, deadline: float | None = None) -> Any:
    """Read a message of at most `largest` bytes.

    Raises
    ------
    ProtocolError
        If it is too large or makes no sense.
    TimeoutError
        If it is not complete at the deadline, a time of `time.monotonic()`.
    EOFError
        If the other side is gone.
    """
    text_size, data_size = HEADER.unpack(_exactly(connection, HEADER.size, deadline))
    if text_size > LARGEST_TEXT or data_size > largest:
        raise ProtocolError(f"a message of {text_size + data_size} bytes is too large")
    text, data = _exactly(connection, text_size, deadline), _exactly(connection, data_size, deadline)
    try:
        return _from_json(json.loads(text), _Reader(data))
    except ProtocolError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError(f"a message makes no sense: {type(error).__name__}") from None


def _exactly(connection: socket.socket, count: int, deadline: float | None) -> bytearray:
    buffer = bytearray(count)
    view, filled = memoryview(buffer), 0
    while filled < count:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        got = connection.recv_into(view[filled:])
        if got == 0:
            raise EOFError
        filled += got
    return buffer


def _to_json(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return a value as JSON has it, everything but numbers and words as {kind: content}."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Key):
        return {"key": [int(number) for number in value]}
    if isinstance(value, tuple | list):
        return {"tuple" if isinstance(value, tuple) else "list": [_to_json(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[str(name), _to_json(item, arrays)] for name, item in value.items()]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.name in DTYPES:
        array = np.asarray(value).astype(DTYPES[value.dtype.name], copy=False)  # in this machine's byte order
        arrays.append(array)
        return {"array" if isinstance(value, np.ndarray) else "number": [array.dtype.name, list(array.shape)]}
    what = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise TypeError(f"{what} is neither a number nor an array of numbers")


def _from_json(value: Any, reader: "_Reader") -> Any:
    """Return what `_to_json` was given."""
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ProtocolError("a list without its kind")
        return value
    if len(value) != 1:
        raise ProtocolError("a value of two kinds")
    ((kind, content),) = value.items()
    build: dict[str, Callable[[Any], Any]] = {
        "key": lambda numbers: Key(*map(int, numbers)),
        "tuple": lambda items: tuple(_from_json(item, reader) for item in items),
        "list": lambda items: [_from_json(item, reader) for item in items],
        "dict": lambda items: {str(name): _from_json(item, reader) for name, item in items},
        "array": lambda head: reader.array(*head),
        "number": lambda head: reader.array(*head).reshape(())[()],
    }
    return build[kind](content)


class _Reader:
    """Takes one array after the other from the data of a message."""

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self.position = 0

    def array(self, dtype_name: str, shape: list[int]) -> np.ndarray:
        """Return the next array, which may be written to. Raises `ProtocolError` if it is not all there."""
        dtype = DTYPES[dtype_name]
        if len(shape) > MOST_AXES or not all(type(length) is int and 0 <= length < 2**40 for length in shape):
            raise ProtocolError("an array of a strange shape")
        count = math.prod(shape)
        end = self.position + count * dtype.itemsize
        if end > len(self.data):
            raise ProtocolError("an array that is not all there")
        array = np.frombuffer(self.data, dtype, count, self.position) if count else np.empty(0, dtype)
        self.position = end
        return array.reshape(shape).copy()
