"""Raises an error that cannot be written down."""


class Strange(BaseException):
    def __str__(self):
        raise MemoryError

    @property
    def args(self):
        raise MemoryError


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    raise Strange
