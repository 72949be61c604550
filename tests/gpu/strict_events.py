"""What a device does that costs time and cannot be seen in the source: counted, and forbidden where a test says so.

sync      the host waits for the device: float(x), if x, x[mask], x.get(), stream.synchronize()
h2d       numbers go from the host to the device: asarray(host), x.set(host), a list as an index
d2h       numbers go from the device to the host: x.get(), float(x)
launch    a kernel is launched, of CuPy's own or of the engine's
numpy     a NumPy function was called with a device array, and CuPy takes the call over: it works, and reads as a lie
"""

import collections
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

KINDS = ("sync", "h2d", "d2h", "launch", "numpy")
API = json.loads(Path(__file__).with_name("cupy_api.json").read_text())

counts: collections.Counter = collections.Counter()
"""How often what happened: by kind, and by (kind, cause)."""
_forbidden: collections.Counter = collections.Counter()


class ForbiddenError(Exception):
    """Something happened that the test forbids at this place."""


def happened(kind: str, cause: str) -> None:
    """Count an event. Raises `ForbiddenError` inside of `forbidding(kind)`."""
    counts[kind] += 1
    counts[kind, cause] += 1
    if _forbidden[kind]:
        raise ForbiddenError(f"{kind} is forbidden here, and {cause} is one")


@contextlib.contextmanager
def forbidding(*kinds: str) -> Iterator[None]:
    """Let these kinds of events raise in a `with` block: forbidding("sync", "h2d", "d2h") around a training step."""
    assert set(kinds) <= set(KINDS), kinds
    _forbidden.update(kinds)
    try:
        yield
    finally:
        _forbidden.subtract(kinds)
