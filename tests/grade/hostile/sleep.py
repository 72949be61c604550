"""A call that uses no processor time never ends."""

import time


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    time.sleep(1e6)
