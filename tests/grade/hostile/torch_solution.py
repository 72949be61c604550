"""Lets another library do the work."""

import torch


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    return torch.conv2d(torch.tensor(x), torch.tensor(w), torch.tensor(b), stride, padding).numpy()
