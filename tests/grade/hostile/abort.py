"""Crashes the interpreter."""

import os


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    os.abort()
