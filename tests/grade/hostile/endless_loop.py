"""A call never ends."""


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    while True:
        pass
