"""Containers of one's own: right layers, put together with a mistake in the backward pass."""

import numpy as np

from minicnn import nn
from mistakes.layers import PlainDense, normal
from mistakes.registry import mistake_layer


class TwoInARow(nn.Layer):
    """y = second(tanh(first(x))), which the layers below share."""

    def __init__(self, d):
        self.first, self.between, self.second = PlainDense(d, d), nn.Tanh(), PlainDense(d, d)

    def forward(self, x):
        """x, y : (N, D)"""
        return self.second(self.between(self.first(x)))


@mistake_layer("flipped", where="x", make=lambda: BackInTheSameOrder(4), x=normal(3, 4), also=("wrong-cache",))
class BackInTheSameOrder(TwoInARow):
    """Runs the layers from the first to the last on the way back, too."""

    def backward(self, dy):
        """dy, dx : (N, D)"""
        return self.second.backward(self.between.backward(self.first.backward(dy)))


@mistake_layer("missing-term", where="x", make=lambda: LeavesTheActivationOut(4), x=normal(3, 4))
class LeavesTheActivationOut(TwoInARow):
    """Goes back through the layers with weights alone."""

    def backward(self, dy):
        """dy, dx : (N, D)"""
        return self.first.backward(self.second.backward(dy))


class Branches(nn.Layer):
    """y = [left(x), right(x)] side by side, which the layers below share."""

    def __init__(self, d):
        self.left, self.right = PlainDense(d, 2), PlainDense(d, 2)
        self.right.weight.data = -0.5 * self.right.weight.data[::-1]

    def forward(self, x):
        """x : (N, D) -> y : (N, 4)"""
        return np.hstack([self.left(x), self.right(x)])


@mistake_layer("missing-term", where="x", make=lambda: LastBranchWins(3), x=normal(4, 3))
class LastBranchWins(Branches):
    """Assigns dx in each branch, so that the last one's is left; they add up."""

    def backward(self, dy):
        """dy : (N, 4) -> dx : (N, D)"""
        for layer, part in zip((self.left, self.right), np.split(dy, 2, axis=1), strict=True):
            dx = layer.backward(part)
        return dx


@mistake_layer(
    "transposed", where="x", make=lambda: BranchesExchanged(3), x=normal(4, 3), also=("wrong-cache", "shifted")
)
class BranchesExchanged(Branches):
    """Gives the left branch the right one's gradient, and the other way round."""

    def backward(self, dy):
        """dy : (N, 4) -> dx : (N, D)"""
        return self.left.backward(dy[:, 2:]) + self.right.backward(dy[:, :2])


@mistake_layer("scale", where="x", make=lambda: MeanOfTheBranches(3), x=normal(4, 3))
class MeanOfTheBranches(Branches):
    """Takes the mean of the branches' gradients, where their sum belongs."""

    def backward(self, dy):
        """dy : (N, 4) -> dx : (N, D)"""
        return np.mean([self.left.backward(dy[:, :2]), self.right.backward(dy[:, 2:])], axis=0)


@mistake_layer(
    "zero", where="right.weight", make=lambda: OneBranchNeverLearns(3), x=normal(4, 3), also=("missing-term",)
)
class OneBranchNeverLearns(Branches):
    """Runs the left branch back and forgets the right one."""

    def backward(self, dy):
        """dy : (N, 4) -> dx : (N, D)"""
        return self.left.backward(dy[:, :2])


class Shortcut(nn.Layer):
    """y = x + body(x), with a body that may be anything."""

    def __init__(self, *layers):
        self.body = list(layers)

    def forward(self, x):
        """x, y : (N, D)"""
        y = x
        for layer in self.body:
            y = layer(y)
        return x + y


@mistake_layer("missing-term", where="x", make=lambda: BodyAlone(PlainDense(4, 4), nn.Tanh()), x=normal(3, 4))
class BodyAlone(Shortcut):
    """Forgets the way past the body."""

    def backward(self, dy):
        """dy, dx : (N, D)"""
        for layer in reversed(self.body):
            dy = layer.backward(dy)
        return dy


@mistake_layer(
    "scale", where="x", make=lambda: ShortcutTwice(PlainDense(4, 4), nn.Tanh()), x=normal(3, 4), also=("missing-term",)
)
class ShortcutTwice(Shortcut):
    """Adds dy after each layer of the body; it passes once."""

    def backward(self, dy):
        """dy, dx : (N, D)"""
        dx = dy
        for layer in reversed(self.body):
            dx = layer.backward(dx)
        return dx + dy + dy
