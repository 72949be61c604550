"""Freezing, a new head, features, and rates that fall towards the input."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import models, nn, optim
from minicnn.data import ArrayDataset, SealedDataset
from minicnn.errors import ArgumentError, DataError
from minicnn.recipes import features, fine_tuning_groups, freeze, replace_head, unfreeze

X = np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32)
Y = np.arange(20) % 3


def network():
    """Two nested chains: "body.0" and "body.1" (batch norm) and "head.1" have parameters."""
    mc.seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential({"body": body, "flat": nn.Flatten(), "head": nn.Sequential(nn.Dropout(0.5), nn.Linear(36, 3))})


class Own(nn.Layer):
    """A layer of somebody's own, with its parts as attributes and in a list."""

    def __init__(self, *last):
        self.first = nn.Linear(4, 3)
        self.scale = nn.Parameter(np.ones(1, dtype=np.float32))
        self.unused = nn.ReLU()
        self.last = nn.Linear(3, 2)
        if last:
            self.more = list(last)

    def forward(self, x):
        return self.last(self.scale.data * self.first(x))


def frozen(model):
    return [name for name, parameter in model.named_parameters().items() if parameter.frozen]


CONV = ["body.0.weight", "body.0.bias"]
NORM = ["body.1.weight", "body.1.bias"]
HEAD = ["head.1.weight", "head.1.bias"]


class TestFreeze:
    @pytest.mark.parametrize(
        ("names", "want"),
        [
            ([], CONV + NORM + HEAD),
            (["body"], CONV + NORM),
            (["body.1", "head"], NORM + HEAD),
            (["body.0.weight"], ["body.0.weight"]),
            (["body.0", "body"], CONV + NORM),
            (["flat"], []),
            ([""], CONV + NORM + HEAD),
        ],
    )
    def test_by_name(self, names, want):
        model = network()
        assert freeze(model, *names) == want
        assert frozen(model) == want
        assert unfreeze(model, *names) == want
        assert frozen(model) == []

    def test_layers_and_slices(self):
        model = network()
        assert freeze(model, model["body"][1], model[2:]) == NORM + HEAD
        assert frozen(model) == NORM + HEAD

    @pytest.mark.parametrize(("keep", "want"), [(1, CONV + NORM), (2, CONV), (3, [])])
    def test_all_but_the_last(self, keep, want):
        model = network()
        assert freeze(model, keep=keep) == want == frozen(model)

    def test_unfreeze_leaves_the_rest_frozen(self):
        model = network()
        freeze(model)
        unfreeze(model, "head")
        assert frozen(model) == CONV + NORM

    def test_parameters_on_a_layer_that_has_layers_too(self):
        assert freeze(Own(), keep=1) == ["scale", "first.weight", "first.bias"]
        assert freeze(Own(), "scale") == ["scale"]

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            (["bodi"], {}, r"no layer 'bodi' \(did you mean 'body'\?\); there are 'body.0', 'body.1', 'head.1'"),
            (["body.9"], {}, "no layer 'body.9'"),
            ([0], {}, "are meant by their names or are given themselves, not as 0"),
            ([nn.Linear(2, 2)], {}, r"Linear\(2, 2\) is not a layer of this model"),
            (["body"], {"keep": 1}, "either names, or keep"),
            ([], {"keep": 4}, "keep=4, but the model has 3 layers with parameters: 'body.0'"),
            ([], {"keep": -1}, "keep must be a whole number of at least 0"),
        ],
    )
    def test_refuses(self, arguments, options, message):
        model = network()
        with pytest.raises(ArgumentError, match=message):
            freeze(model, *arguments, **options)
        assert frozen(model) == []

    def test_refuses_what_is_no_model(self):
        with pytest.raises(ArgumentError, match="model must be a Layer"):
            freeze("body")

    def test_a_training_leaves_all_that_is_frozen_as_it_was_buffers_too(self):
        model = network()
        freeze(model, "body")
        before = model.state_dict()
        mc.Trainer(model).fit((X, Y), epochs=2, verbose=False)
        after = model.state_dict()
        changed = [name for name in before if before[name].tobytes() != after[name].tobytes()]
        assert changed == HEAD

    def test_an_optimizer_s_group_may_be_frozen_altogether(self):
        model = network()
        groups = [{"params": model["body"].parameters(), "lr": 1e-3}, {"params": model["head"].parameters()}]
        trainer = mc.Trainer(model, optimizer=optim.Adam(groups, lr=1e-2))
        freeze(model, "body")
        before = model.state_dict()
        trainer.train_step(X, Y)
        changed = [name for name, value in model.state_dict().items() if not np.array_equal(before[name], value)]
        assert changed == HEAD

    def test_the_head_learns_as_a_linear_model_on_the_body_s_features(self):
        model = network()
        model["head"].layers["0"].p = 0.0
        freeze(model, "body")
        alone = nn.Linear(36, 3)
        alone.load_state_dict(model["head"][1].state_dict())
        inputs = features(model, X, "flat")
        options = {"optimizer": optim.SGD, "rng": mc.backend.CounterRng(3)}
        for net, x in ((model, X), (alone, inputs)):
            rng = mc.backend.CounterRng(3)
            mc.Trainer(net, optimizer=options["optimizer"](net.parameters(), lr=0.1), rng=rng).fit(
                (x, Y), epochs=3, batch_size=8, verbose=False
            )
        np.testing.assert_allclose(model["head"][1].weight.data, alone.weight.data, rtol=1e-4, atol=1e-6)


class TestReplaceHead:
    def test_the_new_one_stands_where_the_old_one_stood(self):
        model = network()
        body = model["body"].state_dict()
        head = replace_head(model, 7)
        assert model["head"][1] is head
        assert repr(head) == "Linear(36, 7)"
        assert all(np.array_equal(value, body[name]) for name, value in model["body"].state_dict().items())
        assert model(X).shape == (20, 7)
        assert list(model.state_dict()) == list(network().state_dict())

    def test_it_has_a_bias_a_dtype_and_a_mode_as_the_old_one(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2, bias=False)).astype(np.float64).eval()
        head = replace_head(model, 5)
        assert (head.bias, head.weight.data.dtype, head.training) == (None, np.float64, False)

    def test_in_a_layer_of_one_s_own(self):
        model = Own()
        head = replace_head(model, 9)
        assert model.last is head
        assert model(np.ones((2, 4), dtype=np.float32)).shape == (2, 9)

    @pytest.mark.parametrize("name", models.CLASSIFIERS)
    def test_in_every_known_classifier(self, name):
        with nn.init.undrawn():  # hundreds of millions of weights
            model = models.create(name, (1, 32, 32), 10)
        replace_head(model, 4)
        assert model.eval()(np.zeros((2, 1, 32, 32), dtype=np.float32)).shape == (2, 4)

    def test_rng_and_init_decide_the_weights(self):
        heads = [replace_head(network(), 7, rng=mc.backend.CounterRng(seed)) for seed in (1, 1, 2)]
        assert np.array_equal(heads[0].weight.data, heads[1].weight.data)
        assert not np.array_equal(heads[0].weight.data, heads[2].weight.data)
        assert (replace_head(network(), 7, init=nn.init.constant(2)).weight.data == 2).all()

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), r"no Linear at the end: .* is '1', BatchNorm1d\(2\)"),
            (nn.Sequential(nn.Conv2d(1, 2, 1), nn.GlobalAvgPool2d()), r"is '0', Conv2d\(1, 2, 1\); build the new head"),
            (nn.ReLU(), "it has no layer with parameters"),
            (nn.Linear(2, 3), r"the model is itself the head, .*Linear\(2, 7\)"),
            (nn.Sequential(nn.Concat(nn.Linear(2, 2), nn.Linear(2, 2))), "'0.1', stands in a branch of Concat"),
            (nn.Residual(nn.Sequential(nn.Linear(2, 2))), "'body.0', stands in a branch of Residual"),
            (Own(nn.Linear(3, 2)), "'more.0', is kept in a list"),
        ],
    )
    def test_refuses(self, model, message):
        with pytest.raises(ArgumentError, match=message):
            replace_head(model, 7)

    def test_refuses_no_classes(self):
        with pytest.raises(ArgumentError, match="classes must be a whole number of at least 1, not 0"):
            replace_head(network(), 0)

    def test_an_optimizer_of_the_old_head_is_refused_by_fit(self):
        model = network()
        trainer = mc.Trainer(model)
        replace_head(model, 3)
        with pytest.raises(ArgumentError, match="parameters that are not the model's; build it anew after the model"):
            trainer.fit((X, Y))


class TestFeatures:
    def test_they_are_what_the_layers_give_one_after_the_other(self, backend):
        model = network().eval()
        want = model["body"](X)
        got = features(model.train(), X, "body", batch_size=7)
        np.testing.assert_allclose(got, want.reshape(20, 36), rtol=1e-5, atol=1e-6)
        assert (type(got), got.dtype, got.flags.c_contiguous) == (np.ndarray, np.float32, True)
        np.testing.assert_allclose(features(model, X, 0, flatten=False), want, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        ("layer", "shape"),
        [(-2, (20, 36)), (-1, (20, 3)), ("head.0", (20, 36)), ("body.0", (20, 4 * 36)), ("", (20, 3))],
    )
    def test_whose(self, layer, shape):
        assert features(network(), X, layer).shape == shape

    def test_by_default_they_are_what_goes_into_the_last_layer(self):
        model = models.create("lenet", (1, 8, 8), 10)
        x = features(model, X)
        assert x.shape == (20, 128)
        np.testing.assert_allclose(model[-1](x), mc.Trainer(model).predict(X), rtol=1e-5, atol=1e-5)

    def test_the_model_is_left_as_it_was(self):
        model = network()
        model["body"].eval()
        before = {name: value.tobytes() for name, value in model.state_dict().items()}
        features(model, X)
        assert [layer.training for _, layer in model.named_layers()] == [True] + [False] * 5 + [True] * 4
        assert {name: value.tobytes() for name, value in model.state_dict().items()} == before
        assert all(layer._hooks == () for _, layer in model.named_layers())

    def test_layers_behind_are_not_run(self):
        model = network()
        model["head"].forward = lambda x: pytest.fail("it went on")
        features(model, X, "flat")

    def test_hooks_are_taken_off_when_something_fails(self):
        model = network()
        with pytest.raises(mc.errors.ShapeError):
            features(model, np.ones((2, 3, 8, 8), dtype=np.float32))
        assert all(layer._hooks == () for _, layer in model.named_layers())

    def test_scikit_learn_learns_from_them(self):
        from sklearn.linear_model import LogisticRegression

        digits = mc.data.load("digits")
        model = models.create("lenet", (1, 8, 8), 10)
        mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=2e-3)).fit(digits.train, epochs=5, verbose=False)
        few = slice(0, 200)
        classifier = LogisticRegression(max_iter=500).fit(features(model, digits.train.x[few]), digits.train.y[few])
        assert classifier.score(features(model, digits.validation.x), digits.validation.y) > 0.9

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            ("boody", r"no layer 'boody' \(did you mean 'body'\?\)"),
            (3, "a number from -3 to 2, not 3"),
            (1.0, "a number from -3 to 2, not 1.0"),
            (nn.ReLU(), "is not a layer of this model"),
        ],
    )
    def test_refuses_layers_that_there_are_not(self, layer, message):
        with pytest.raises(ArgumentError, match=message):
            features(network(), X, layer)

    def test_refuses_numbers_where_layers_have_no_order(self):
        with pytest.raises(
            ArgumentError, match=r"a number means a layer of a Sequential; .* has 'first', 'unused', 'last'"
        ):
            features(Own(), np.ones((2, 4), dtype=np.float32))

    def test_says_when_the_layer_is_never_called(self):
        with pytest.raises(ArgumentError, match=r"does not call the layer ReLU\(\)"):
            features(Own(), np.ones((2, 4), dtype=np.float32), "unused")

    @pytest.mark.parametrize("data", [ArrayDataset(X, Y), SealedDataset(ArrayDataset(X, Y))])
    def test_refuses_data_sets(self, data):
        with pytest.raises(DataError, match=r"features\(model, dataset.x\)"):
            features(network(), data)

    def test_refuses_none_and_not_a_number(self):
        with pytest.raises(DataError, match="x is empty"):
            features(network(), X[:0])
        with pytest.raises(DataError, match="x holds nan"):
            features(network(), X * np.nan)


class TestFineTuningGroups:
    def test_rates_fall_by_the_factor_and_batch_norm_shares_that_of_its_convolution(self):
        groups = fine_tuning_groups(network(), lr=0.1, decay=0.5)
        assert [group["params"].names for group in groups] == [CONV + NORM, HEAD]
        assert [group["lr"] for group in groups] == [0.05, 0.1]

    def test_frozen_parameters_are_left_out_and_do_not_count(self):
        model = models.create("lenet", (1, 8, 8), 10)
        freeze(model, "3")
        groups = fine_tuning_groups(model, lr=1.0)
        assert [group["params"].names[0] for group in groups] == ["0.weight", "7.weight", "10.weight"]
        np.testing.assert_allclose([group["lr"] for group in groups], [2.6**-2, 2.6**-1, 1])

    def test_an_optimizer_takes_them_and_steps_are_as_long_as_they_say(self):
        model = network()
        before = model.state_dict()
        optimizer = optim.SGD(fine_tuning_groups(model, lr=0.1, decay=0.01), lr=0.0)
        for parameter in model.parameters():
            parameter.grad = np.ones_like(parameter.data)
        optimizer.step()
        moved = {name: before[name] - value for name, value in model.state_dict().items()}
        np.testing.assert_allclose(moved["head.1.weight"], 0.1, rtol=1e-4)
        np.testing.assert_allclose(moved["body.0.weight"], 0.001, rtol=1e-3)

    @pytest.mark.parametrize("decay", [0, 1.5, np.nan])
    def test_refuses_factors_that_make_no_sense(self, decay):
        with pytest.raises(ArgumentError, match="decay must lie above 0 and be at most 1"):
            fine_tuning_groups(network(), 0.1, decay=decay)

    def test_refuses_when_nothing_is_trained(self):
        model = network()
        freeze(model)
        with pytest.raises(ArgumentError, match="no parameters that are trained; unfreeze"):
            fine_tuning_groups(model, 0.1)
