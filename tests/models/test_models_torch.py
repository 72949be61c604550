"""The networks against ones that are written in PyTorch as its users write them: the same step, with all gradients."""

import numpy as np
import pytest
from oracles import assert_close64, needs_torch, torch

import minicnn as mc
from minicnn import models, nn

pytestmark = needs_torch

if torch is not None:
    from torch.nn import functional as F  # noqa: N812

    class Block(torch.nn.Module):
        """He et al., figure 2, with a shortcut of option A or B."""

        def __init__(self, before, after, stride, shortcut):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = torch.nn.BatchNorm2d(after)
            self.conv2 = torch.nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = torch.nn.BatchNorm2d(after)
            self.more = after - before
            if self.more and shortcut == "B":
                self.downsample = torch.nn.Sequential(
                    torch.nn.Conv2d(before, after, 1, stride, bias=False), torch.nn.BatchNorm2d(after)
                )

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            if hasattr(self, "downsample"):
                x = self.downsample(x)
            elif self.more:
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
            return F.relu(y + x)

    class TorchResNet(torch.nn.Module):
        """Section 4.2."""

        def __init__(self, blocks, classes, shortcut):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            self.bn1 = torch.nn.BatchNorm2d(16)
            for stage, (before, after) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
                row = [Block(before, after, 1 if stage == 1 else 2, shortcut)]
                row += [Block(after, after, 1, shortcut) for _ in range(blocks - 1)]
                setattr(self, f"layer{stage}", torch.nn.Sequential(*row))
            self.fc = torch.nn.Linear(64, classes)

        def forward(self, x):
            x = F.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.fc(x.mean((2, 3)))

    def rows(before, after, batch_norm):
        conv = torch.nn.Conv2d(before, after, 3, padding=1, bias=not batch_norm)
        return [conv, *([torch.nn.BatchNorm2d(after)] if batch_norm else []), torch.nn.ReLU()]

    class TorchUNet(torch.nn.Module):
        """Figure 1 with padding, level by level."""

        def __init__(self, channels, classes, depth, width, batch_norm):
            super().__init__()
            widths = [width * 2**level for level in range(depth + 1)]
            self.downs, self.transposed, self.ups = (torch.nn.ModuleList() for _ in range(3))
            for before, after in zip([channels, *widths], widths, strict=False):
                self.downs.append(self.two(before, after, batch_norm))
            for after in reversed(widths[:-1]):
                self.transposed.append(torch.nn.ConvTranspose2d(2 * after, after, 2, 2))
                self.ups.append(self.two(2 * after, after, batch_norm))
            self.last = torch.nn.Conv2d(width, classes, 1)

        def two(self, before, after, batch_norm):
            return torch.nn.Sequential(*rows(before, after, batch_norm), *rows(after, after, batch_norm))

        def forward(self, x):
            kept = []
            for down in self.downs:
                x = down(F.max_pool2d(x, 2) if kept else x)
                kept.append(x)
            for transposed, up, skip in zip(self.transposed, self.ups, reversed(kept[:-1]), strict=True):
                x = up(torch.cat([skip, transposed(x)], dim=1))
            return self.last(x)

    class TorchSegNet(torch.nn.Module):
        """Figure 2: VGG-16's stages, and the same backwards."""

        def __init__(self, channels, classes, depth, width):
            super().__init__()
            stages = [(width, 2), (2 * width, 2), (4 * width, 3), (8 * width, 3), (8 * width, 3)][:depth]
            self.encoders, self.decoders = torch.nn.ModuleList(), torch.nn.ModuleList()
            before = channels
            for number, (after, count) in enumerate(stages):
                encoder = rows(before, after, True) + [r for _ in range(count - 1) for r in rows(after, after, True)]
                decoder = [r for _ in range(count - 1) for r in rows(after, after, True)]
                decoder += rows(after, before, True) if number else [torch.nn.Conv2d(after, classes, 3, padding=1)]
                self.encoders.append(torch.nn.Sequential(*encoder))
                self.decoders.append(torch.nn.Sequential(*decoder))
                before = after

        def forward(self, x):
            places = []
            for encoder in self.encoders:
                x, where = F.max_pool2d(encoder(x), 2, return_indices=True)
                places.append(where)
            for decoder, where in zip(reversed(self.decoders), reversed(places), strict=True):
                x = decoder(F.max_unpool2d(x, where, 2))
            return x


def resnet_name(name):
    """Our name of a parameter or buffer, in the twin's words."""
    where, _, kind = name.rpartition(".")
    stem = {"stem.0": "conv1", "stem.1": "bn1", "classifier": "fc"}
    if where in stem:
        return f"{stem[where]}.{kind}"
    stage, row, way, number = where.split(".")
    inner = f"downsample.{number}" if way == "shortcut" else ("conv1", "bn1", "", "conv2", "bn2")[int(number)]
    return f"layer{stage[-1]}.{int(row) // 2}.{inner}.{kind}"


def unet_name(name, depth):
    """A level lies in the second layer of the branch that goes deeper: levels.skip.1.1.skip.1.1...."""
    if name.startswith("scores"):
        return name.replace("scores", "last")
    level = name.count("skip.1.1")
    rest = name.removeprefix("levels.").replace("skip.1.1.", "")
    if level == depth:
        return f"downs.{level}.{rest}"
    part, _, rest = rest.partition(".")
    if part == "skip":
        return f"transposed.{depth - 1 - level}.{rest.removeprefix('1.2.')}"
    return f"downs.{level}.{rest}" if part == "down" else f"ups.{depth - 1 - level}.{rest}"


def segnet_name(name):
    level = name.count("below.body")
    part, _, rest = name.replace("below.body.", "").partition(".")
    return f"{part}s.{level}.{rest}"


def assert_same_step(model, twin, named, x, y):
    """Loss, all gradients and all buffers of a training step; and the weights go back."""
    twin.double().train()
    state = twin.state_dict()
    names = {name: named(name) for name in model.state_dict()}
    assert sorted(names.values()) == sorted(state)
    model.astype(np.float64).load_state_dict({name: state[theirs] for name, theirs in names.items()})

    loss = nn.CrossEntropyLoss()
    value = loss.forward(model(x), y)
    dx = model.backward(loss.backward())
    given = torch.tensor(x, requires_grad=True)
    want = F.cross_entropy(twin(given), torch.tensor(y))
    want.backward()

    assert float(value) == pytest.approx(want.item(), rel=1e-12)
    assert_close64(dx, given.grad, 1e-8)
    theirs = dict(twin.named_parameters())
    gradients = {name: parameter.grad for name, parameter in model.named_parameters().items()}
    assert len(gradients) == len(theirs)
    for name, gradient in gradients.items():
        size = float(theirs[names[name]].grad.abs().max())
        np.testing.assert_allclose(gradient, theirs[names[name]].grad, rtol=0, atol=1e-8 * max(size, 1e-3))
    for name, buffer in model.named_buffers().items():
        np.testing.assert_allclose(buffer.data, dict(twin.named_buffers())[names[name]], rtol=1e-9, atol=1e-12)

    mc.optim.SGD(model.parameters(), lr=0.1).step()
    twin.load_state_dict({names[name]: torch.tensor(array) for name, array in model.state_dict().items()})
    with torch.no_grad():
        assert_close64(model.eval()(x), twin.eval()(given), 1e-9)


def images(*shape):
    return np.random.default_rng(0).normal(size=shape)


def labels(*shape):
    return np.random.default_rng(1).integers(0, 5, size=shape)


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_step_of_resnet20_is_pytorchs(shortcut):
    torch.manual_seed(0)
    model = models.create("resnet20", (3, 12, 10), 5, shortcut=shortcut)
    assert_same_step(model, TorchResNet(3, 5, shortcut), resnet_name, images(4, 3, 12, 10), labels(4))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_step_of_unet_is_pytorchs(batch_norm):
    torch.manual_seed(0)
    model = models.create("unet", (2, 32, 16), 5, depth=3, width=6, batch_norm=batch_norm)
    twin = TorchUNet(2, 5, 3, 6, batch_norm)
    assert_same_step(model, twin, lambda name: unet_name(name, 3), images(2, 2, 32, 16), labels(2, 32, 16))


def test_a_step_of_segnet_is_pytorchs():
    torch.manual_seed(0)
    model = models.create("segnet", (2, 16, 24), 5, depth=3, width=4)
    assert_same_step(model, TorchSegNet(2, 5, 3, 4), segnet_name, images(2, 2, 16, 24), labels(2, 16, 24))


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("unet", lambda: TorchUNet(1, 2, 4, 64, False)),
        ("segnet", lambda: TorchSegNet(3, 11, 5, 64)),
        ("resnet20", lambda: TorchResNet(3, 10, "A")),
        ("resnet110", lambda: TorchResNet(18, 10, "A")),
    ],
)
def test_the_papers_sizes_have_as_many_parameters_as_pytorchs(name, twin):
    with nn.init.undrawn(), torch.device("meta"):
        ours, theirs = models.create(name), twin()
    assert sum(p.data.size for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
