"""Models whose weights come from elsewhere, or are not needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_drawing: ContextVar[bool] = ContextVar("minicnn_drawing", default=True)


@contextmanager
def undrawn() -> Iterator[None]:
    """In a `with` block, let the weights of new layers be zeros, for which neither time nor memory is spent.

    For a model that is loaded from a file right afterwards, or of which only names and sizes matter. (The system hands
    out the memory when something is written there.) Sources of randomness are numbered as they would be otherwise.

        with nn.init.undrawn():
            model = models.create("vgg16")
        sum(parameter.data.size for parameter in model.parameters())
    """
    token = _drawing.set(False)
    try:
        yield
    finally:
        _drawing.reset(token)


def drawing() -> bool:
    """Return whether new layers draw their weights."""
    return _drawing.get()
