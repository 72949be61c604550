"""safetensors files: PyTorch's weights give PyTorch's outputs, ours go back, and nothing else is let in."""

import builtins
import sys

import numpy as np
import pytest
from oracles import needs_torch, torch

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError, CheckpointError, DependencyError, OutputError
from minicnn.interop import load_safetensors, save_safetensors

safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")
if torch is not None:
    import safetensors.torch
import safetensors.numpy  # noqa: E402

X = np.random.default_rng(0).normal(size=(5, 2, 8, 8)).astype(np.float32)


def ours(layers=nn, seed=0):
    """Everything that has weights, in a nested network; PyTorch's layers take the same arguments."""
    mc.seed(seed)
    body = layers.Sequential(layers.Conv2d(2, 4, 3, padding=1, groups=2), layers.BatchNorm2d(4), layers.ReLU())
    return layers.Sequential(
        body, layers.MaxPool2d(2), layers.Flatten(), layers.Linear(64, 8, bias=False), layers.BatchNorm1d(8),
        layers.Linear(8, 3),
    )  # fmt: skip


def theirs(seed=0):
    """PyTorch's network, in which batch norm has seen something."""
    torch.manual_seed(seed)
    model = ours(torch.nn)
    with torch.no_grad():
        model(torch.tensor(X) * 3 + 1)
    return model.eval()


def numbers(model):
    return {name: value.tobytes() for name, value in model.state_dict().items()}


def changed(path, **entries):
    """Write the network's state with some entries replaced, added or (None) left out."""
    state = ours().state_dict() | entries
    safetensors.numpy.save_file({name: value for name, value in state.items() if value is not None}, path)
    return path


@needs_torch
class TestPyTorch:
    def test_its_weights_give_its_outputs(self, tmp_path):
        module = theirs()
        safetensors.torch.save_file(module.state_dict(), tmp_path / "w")
        model = ours(seed=1).eval()
        assert load_safetensors(model, tmp_path / "w") == ([], [])
        want = module(torch.tensor(X)).detach().numpy()
        np.testing.assert_allclose(model(X), want, rtol=1e-5, atol=1e-5)

    def test_it_gives_our_outputs_with_our_weights(self, tmp_path):
        model = ours(seed=3)
        model(X * 3 + 1)
        save_safetensors(model, tmp_path / "w")
        module = theirs()
        module.load_state_dict(safetensors.torch.load_file(tmp_path / "w"))
        want = module(torch.tensor(X)).detach().numpy()
        np.testing.assert_allclose(model.eval()(X), want, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
    def test_other_precisions_are_read_exactly_as_pytorch_converts_them(self, kind, tmp_path):
        state = {
            name: value.to(getattr(torch, kind)) if value.is_floating_point() else value
            for name, value in theirs().state_dict().items()
        }
        safetensors.torch.save_file(state, tmp_path / "w")
        model = ours()
        load_safetensors(model, tmp_path / "w")
        for name, value in model.state_dict().items():
            want = state[name].to(torch.float32) if state[name].is_floating_point() else state[name]
            assert np.array_equal(value, want.numpy()), name

    def test_eight_bits_are_refused(self, tmp_path):
        state = theirs().state_dict()
        state["5.bias"] = state["5.bias"].to(torch.float8_e4m3fn)
        safetensors.torch.save_file(state, tmp_path / "w")
        with pytest.raises(CheckpointError, match=r"entry '5\.bias' is of type F8_E4M3, which NumPy lacks; convert it"):
            load_safetensors(ours(), tmp_path / "w")

    @pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.bin"])
    def test_pickles_are_refused_with_the_way_to_convert_them(self, name, tmp_path):
        torch.save(theirs().state_dict(), tmp_path / name)
        with pytest.raises(CheckpointError, match=r"a pickle, .* safetensors.torch.save_file\(model.state_dict\(\)"):
            load_safetensors(ours(), tmp_path / name)

    def test_old_pickles_too(self, tmp_path):
        torch.save(theirs().state_dict(), tmp_path / "old", _use_new_zipfile_serialization=False)
        with pytest.raises(CheckpointError, match="a pickle"):
            load_safetensors(ours(), tmp_path / "old")


class TestRoundTrip:
    def test_every_bit_comes_back(self, tmp_path):
        model, other = ours(seed=1), ours(seed=2)
        model(X)
        save_safetensors(model, tmp_path / "w")
        load_safetensors(other, tmp_path / "w")
        assert numbers(other) == numbers(model)

    def test_so_do_weights_that_do_not_lie_in_rows(self, tmp_path):
        model, other = ours(seed=1), ours(seed=2)
        for parameter in model.parameters():
            parameter.data = np.asfortranarray(parameter.data)
        model[0][0].weight.data = np.ascontiguousarray(model[0][0].weight.data.transpose(2, 3, 1, 0)).transpose(
            3, 2, 0, 1
        )
        assert not model.state_dict()["3.weight"].flags.c_contiguous
        save_safetensors(model, tmp_path / "w")
        load_safetensors(other, tmp_path / "w")
        assert numbers(other) == numbers(model)
        assert np.array_equal(safetensors.numpy.load_file(tmp_path / "w")["3.weight"], model[3].weight.data)

    def test_so_do_odd_numbers(self, tmp_path):
        model, other = ours(), ours()
        model[5].bias.data = np.array([-0.0, np.nan, np.inf], dtype=np.float32)
        save_safetensors(model, tmp_path / "w")
        load_safetensors(other, tmp_path / "w")
        assert other[5].bias.data.tobytes() == model[5].bias.data.tobytes()

    def test_in_double_precision_too(self, tmp_path):
        model, other = ours(seed=1).astype(np.float64), ours(seed=2).astype(np.float64)
        model[5].bias.data = np.full(3, 1 / 3)
        save_safetensors(model, tmp_path / "w")
        load_safetensors(other, tmp_path / "w")
        assert numbers(other) == numbers(model)

    def test_a_file_that_would_not_hold_the_numbers_is_not_written(self, tmp_path, monkeypatch):
        save_safetensors(ours(), tmp_path / "w")
        before = (tmp_path / "w").read_bytes()
        save = safetensors.numpy.save
        spoilt = lambda state, metadata: save({**state, "3.weight": state["3.weight"][::-1].copy()}, metadata)  # noqa: E731
        monkeypatch.setattr(safetensors.numpy, "save", spoilt)
        with pytest.raises(OutputError, match=r"does not give back what it was given for '3.weight'"):
            save_safetensors(ours(), tmp_path / "w")
        assert (tmp_path / "w").read_bytes() == before

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(OutputError, match=r"cannot write .*nowhere"):
            save_safetensors(ours(), tmp_path / "nowhere" / "w")


class TestStrictness:
    def test_counters_of_batch_norm_may_be_missing_and_stay(self, tmp_path):
        model = ours()
        model(X)
        changed(tmp_path / "w", **{"0.1.num_batches_tracked": None, "4.num_batches_tracked": None})
        assert load_safetensors(model, tmp_path / "w") == ([], [])
        assert model[4].num_batches_tracked.data == 1
        assert load_safetensors(model, tmp_path / "w", strict=False) == ([], [])

    def test_and_may_be_too_many(self, tmp_path):
        changed(tmp_path / "w", **{"9.num_batches_tracked": np.array(3)})
        assert load_safetensors(ours(), tmp_path / "w") == ([], [])
        assert load_safetensors(ours(), tmp_path / "w", strict=False) == ([], [])

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ({"3.weight": None}, "missing: '3.weight'"),
            ({"extra": np.ones(2)}, "not in this model: 'extra'; rename="),
            ({"3.weight": np.ones((8, 3))}, r"'3.weight' is \(8, 3\), the model's is \(8, 64\)"),
        ],
    )
    def test_another_model_is_refused_and_ours_stays(self, entries, message, tmp_path):
        model = ours(seed=1)
        before = numbers(model)
        with pytest.raises(CheckpointError, match=message):
            load_safetensors(model, changed(tmp_path / "w", **entries))
        assert numbers(model) == before

    def test_what_there_is_when_not_strict(self, tmp_path):
        changed(tmp_path / "w", **{"3.weight": None, "extra": np.ones(2)})
        model, other = ours(seed=1), ours()
        assert load_safetensors(model, tmp_path / "w", strict=False) == (["3.weight"], ["extra"])
        assert np.array_equal(model[5].weight.data, other[5].weight.data)


class TestRename:
    def file(self, path):
        """The same weights under other names."""
        back = {"0.0": "net.features.conv", "0.1": "net.features.1"}
        state = {}
        for name, value in ours(seed=4).state_dict().items():
            start = next((old for old in back if name.startswith(old)), None)
            state[back[start] + name[len(start) :] if start else f"net.{name}"] = value
        safetensors.numpy.save_file(state, path)
        return path

    def by_function(self, name):
        return name.replace("net.", "").replace("features.conv", "0.0").replace("features", "0")

    @pytest.mark.parametrize("kind", ["mapping", "function"])
    def test_by_beginnings_or_a_function(self, kind, tmp_path):
        model = ours()
        by_beginnings = {"net.features.conv": "0.0", "net.features": "0", "net": ""}
        rename = by_beginnings if kind == "mapping" else self.by_function
        load_safetensors(model, self.file(tmp_path / "w"), rename=rename)
        assert numbers(model) == numbers(ours(seed=4))

    def test_whole_names_and_what_is_left_out(self, tmp_path):
        changed(tmp_path / "w", **{"extra.a": np.ones(2), "other": ours(seed=9)[5].bias.data + 2, "5.bias": None})
        model = ours()
        load_safetensors(model, tmp_path / "w", rename={"extra": None, "other": "5.bias"})
        assert (model[5].bias.data == 2).all()

    @pytest.mark.parametrize(
        ("rename", "message"),
        [
            ({"fc": "5"}, "rename has 'fc', but no name in the file begins so"),
            ({"ne": ""}, "rename has 'ne', but no name"),
            (lambda name: "same", "several entries the name 'same'"),
            (lambda name: 3, "must give names, or None for what is left out, not 3"),
            ("net", "must be a mapping of names or a function, not 'net'"),
        ],
    )
    def test_refuses(self, rename, message, tmp_path):
        with pytest.raises(ArgumentError, match=message):
            load_safetensors(ours(), self.file(tmp_path / "w"), rename=rename)


class TestDamage:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"there is no file .*nothing"):
            load_safetensors(ours(), tmp_path / "nothing")

    def test_a_folder(self, tmp_path):
        with pytest.raises(CheckpointError, match="cannot read"):
            load_safetensors(ours(), tmp_path)

    @pytest.mark.parametrize("length", [0, 5, 50, -1, -300])
    def test_a_file_that_is_cut_off(self, length, tmp_path):
        save_safetensors(ours(), tmp_path / "w")
        (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:length])
        model = ours(seed=1)
        before = numbers(model)
        with pytest.raises(CheckpointError, match="no safetensors file, or it is damaged or cut off"):
            load_safetensors(model, tmp_path / "w")
        assert numbers(model) == before

    @pytest.mark.parametrize("length", [0x80, 0x4B50])
    def test_a_header_that_begins_like_a_pickle_or_an_archive_is_none(self, length, tmp_path):
        path = changed(tmp_path / "w")
        content = path.read_bytes()
        header = content[8 : 8 + int.from_bytes(content[:8], "little")]
        padded = header.rstrip() + b" " * (length + 0x100 * 0x100 - len(header.rstrip()))
        path.write_bytes(len(padded).to_bytes(8, "little") + padded + content[8 + len(header) :])
        assert path.read_bytes()[:1] in (b"\x80", b"P")
        assert load_safetensors(ours(), path) == ([], [])

    def test_a_file_of_minicnn_s_own(self, tmp_path):
        np.savez(tmp_path / "w.npz", **ours().state_dict())
        with pytest.raises(CheckpointError, match=r"load_weights\(model, path\) reads minicnn's"):
            load_safetensors(ours(), tmp_path / "w.npz")


@pytest.mark.parametrize("function", [load_safetensors, save_safetensors])
def test_without_the_package_it_says_how_to_get_it(function, tmp_path, monkeypatch):
    path = changed(tmp_path / "w")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(DependencyError, match="safetensors is not installed; run: pip install safetensors"):
        function(ours(), path)
    assert issubclass(DependencyError, builtins.ImportError)


def test_refuses_what_is_no_model(tmp_path):
    with pytest.raises(ArgumentError, match="model must be a Layer"):
        load_safetensors({}, tmp_path / "w")


def test_the_room_opens_when_it_is_asked_for():
    assert mc.interop.load_safetensors is load_safetensors
