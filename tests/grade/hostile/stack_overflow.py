"""Crashes the interpreter by a recursion in C."""

import sys

sys.setrecursionlimit(2**31 - 1)


def nested():
    inner = []
    for _ in range(100_000):
        inner = [inner]
    return inner


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    return nested() == nested()
