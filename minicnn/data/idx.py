"""IDX files, the format of MNIST: a magic number, the sizes, then the numbers themselves.

    2 zero bytes | element type (1 byte) | number of axes (1 byte) | each axis' length (4 bytes, big-endian) | data

LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section on the file format.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from minicnn.errors import DataError

ELEMENT_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path) -> np.ndarray:
    """Return the array in an IDX file, plain or compressed by gzip, in the machine's byte order.

    Raises
    ------
    DataError
        If the file is missing, is no IDX file, or is shorter or longer than its header says.
    """
    content = _read(Path(path))
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in ELEMENT_TYPES:
        raise DataError(f"{path} is no IDX file: it begins with the bytes {content[:4].hex(' ') or '(none)'}")
    dtype, axes = np.dtype(ELEMENT_TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{path} is truncated: it ends inside its header")
    shape = struct.unpack(f">{axes}I", content[4:start])
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        problem = "truncated" if len(content) - start < expected else "longer than it should be"
        raise DataError(
            f"{path} is {problem}: its header says {' x '.join(map(str, shape))} = {expected} bytes, "
            f"there are {len(content) - start}; download it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or damaged ({error}); download it again") from None
