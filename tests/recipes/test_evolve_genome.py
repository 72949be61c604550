"""The genome of searched architectures: text and back, what it builds and costs, the space, every mutation's reach."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import needs_torch, torch
from strategies import seeds

from minicnn import data, nn, use_backend
from minicnn.data import ArrayDataset
from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.recipes import Architecture, Cell, SearchSpace
from minicnn.recipes.architecture import MUTATIONS, POOL
from minicnn.recipes.architecture.dice import Dice, training_seed
from minicnn.recipes.architecture.mutation import mutate

SPACE = SearchSpace((2, 9, 6), 4, widths=(3, 4, 6))
PARENT = Architecture.parse("conv3x4 bn pool conv5x6/2 skip")

cells = st.builds(
    Cell, st.sampled_from([1, 3, 5]), st.integers(1, 9), st.integers(1, 3), st.booleans(), st.booleans()
) | st.just(POOL)
architectures = st.builds(Architecture, st.lists(cells, min_size=1, max_size=5).map(tuple))
in_space = seeds.map(lambda seed: SPACE.random(Dice(seed, 1, 0)))


class TestGenome:
    @given(architectures)
    def test_its_text_and_json_read_back_as_the_same(self, architecture):
        again = Architecture.parse(json.loads(json.dumps(str(architecture))))
        assert again == architecture
        assert hash(again) == hash(architecture)

    def test_the_text_is_one_line_to_read(self):
        text = "conv3x16 pool conv3x32/2 skip"
        assert str(Architecture((Cell(), POOL, Cell(3, 32, 2, skip=True)))) == text
        assert PARENT.describe().splitlines() == [
            "1. convolution 3 x 3, 4 channels, batch norm",
            "2. max pooling 2 x 2",
            "3. convolution 5 x 5, 6 channels, stride 2, shortcut",
            "4. mean over each channel, linear",
        ]

    @given(architectures, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)))
    def test_it_builds_what_it_says_at_the_cost_it_says(self, architecture, shape):
        try:
            sizes = architecture.sizes(shape[1:])
        except ShapeError:
            with pytest.raises(ShapeError, match="cannot pool an image"):
                architecture.build(shape, 5)
            return
        with use_backend("numpy"):  # which needs no kernels loaded for so many shapes
            model = architecture.build(shape, 5).eval()
            summary = model.summary(shape)
            before = model[:-2].forward(np.zeros((1, *shape), np.float32))
        assert architecture.cost(shape, 5) == (summary.parameters, summary.multiply_adds)
        assert summary.rows[-1].output_shape == (5,)
        assert before.shape[2:] == sizes[-1]
        assert min(sizes[-1]) >= 1

    @needs_torch
    def test_the_network_is_the_one_that_the_formula_names(self):
        model = PARENT.build((2, 9, 6), 4)
        x = np.random.default_rng(0).standard_normal((3, 2, 9, 6)).astype(np.float32)
        w = {name: torch.tensor(value) for name, value in model.state_dict().items()}
        f = torch.nn.functional
        y = f.conv2d(torch.tensor(x), w["0.weight"], padding=1)
        y = f.relu(f.batch_norm(y, w["1.running_mean"], w["1.running_var"], w["1.weight"], w["1.bias"], eps=1e-5))
        y = f.max_pool2d(y, 2)
        body = f.conv2d(y, w["4.body.0.weight"], w["4.body.0.bias"], stride=2, padding=2)
        y = f.relu(body + f.conv2d(y, w["4.shortcut.weight"], w["4.shortcut.bias"], stride=2))
        want = f.linear(y.mean(dim=(2, 3)), w["7.weight"], w["7.bias"])
        np.testing.assert_allclose(model.eval()(x), want, rtol=1e-4, atol=1e-5)

    def test_a_shortcut_is_the_identity_where_the_shape_stays(self):
        residuals = [
            layer
            for layer in Architecture.parse("conv3x4 skip conv3x4 skip conv3x4/2 skip").build((1, 8, 8), 2)
            if isinstance(layer, nn.Residual)
        ]
        kinds = [type(residual.shortcut) for residual in residuals]
        assert kinds == [nn.Conv2d, nn.Identity, nn.Conv2d]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Cell(kernel=4), "kernel must be odd"),
            (lambda: Cell(width=0), "width must be a whole number of at least 1"),
            (lambda: Cell(stride=1.5), "stride must be a whole number"),
            (lambda: Cell(kind="dense"), "kind must be 'conv' or 'pool', not 'dense'"),
            (lambda: Cell(kind="pool"), "take POOL"),
            (lambda: Architecture(()), "at least one cell"),
            (lambda: Architecture(("conv3x16",)), "a cell must be a Cell, not 'conv3x16'"),
            (lambda: Architecture.parse(""), "at least one cell"),
            (lambda: Architecture.parse("conv3x16 flat"), "'flat' is no cell"),
            (lambda: Architecture.parse("bn conv3x16"), "'bn' is no cell"),
            (lambda: PARENT.build((8, 8), 10), r"input_shape must be \(channels, height, width\)"),
            (lambda: PARENT.build((1, 8, 8), 0), "classes must be a whole number"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, make, message):
        with pytest.raises(ArgumentError, match=message):
            make()


class TestSpace:
    @given(seeds)
    def test_random_architectures_lie_in_it_and_can_be_built(self, seed):
        architecture = SPACE.random(Dice(seed, 1, 0))
        assert SPACE.allows(architecture)
        assert min(min(size) for size in architecture.sizes((9, 6))) >= 1
        assert architecture.build((2, 9, 6), 4)

    @given(seeds, st.integers(2_000, 40_000))
    def test_a_limit_to_the_cost_holds(self, seed, limit):
        space = SearchSpace((2, 9, 6), 4, widths=(3, 4, 6), most_multiply_adds=limit)
        assert space.random(Dice(seed, 1, 0)).cost((2, 9, 6), 4).multiply_adds <= limit

    def test_random_architectures_are_as_long_and_as_pooled_as_they_say(self):
        space = SearchSpace((1, 1024, 1024), 10, strides=(1,), most_cells=4)
        drawn = [space.random(Dice(0, 1, number)) for number in range(800)]
        lengths = Counter(len(architecture) for architecture in drawn)
        assert set(lengths) == {1, 2, 3, 4}
        assert all(abs(count - 200) < 60 for count in lengths.values())  # five standard deviations
        pools = np.mean([cell == POOL for architecture in drawn for cell in architecture])
        assert abs(pools - 0.25) < 0.05
        firsts = Counter(str(architecture.cells[0]) for architecture in drawn)
        assert len(firsts) == len(space.cells), "some cell is never drawn"

    def test_only_small_images_end_a_chain(self):
        small = SearchSpace((1, 2, 2), 10, strides=(2,))
        assert small.next_cells([POOL]) == []
        assert {len(small.random(Dice(0, 1, number))) for number in range(20)} == {1}

    def test_it_is_read_off_the_data(self):
        digits = data.load("digits")
        assert SearchSpace.of(digits) == SearchSpace((1, 8, 8), 10)
        pair = tuple(ArrayDataset(part.x[:50], part.y[:50] % 3) for part in (digits.train, digits.validation))
        assert SearchSpace.of(pair, kernels=(3,)) == SearchSpace((1, 8, 8), 3, kernels=[3])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"kernels": ()}, "kernels must be a sequence of at least one value"),
            ({"widths": 8}, "widths must be a sequence"),
            ({"kernels": (2,)}, "kernel must be odd"),
            ({"most_cells": 0}, "most_cells must be a whole number"),
            ({"most_multiply_adds": 5}, "no single cell is within the limits"),
            ({"classes": 1}, "classes must be a whole number of at least 2"),
            ({"input_shape": (8, 8)}, "input_shape must be"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, settings, message):
        with pytest.raises(ArgumentError, match=message):
            SearchSpace(**{"input_shape": (1, 8, 8), "classes": 10, "pool": False, **settings})

    def test_data_that_is_none_is_refused(self):
        digits = data.load("digits")
        with pytest.raises(ArgumentError, match="data must be Splits or a pair"):
            SearchSpace.of(digits.train)
        with pytest.raises(DataError, match="a sealed test set is for evaluate"):
            SearchSpace.of((digits.train, digits.test))
        with pytest.raises(ShapeError, match="must be images"):
            SearchSpace.of((ArrayDataset(np.zeros((3, 4)), np.arange(3)),) * 2)
        with pytest.raises(DataError, match="must be labels"):
            SearchSpace.of((ArrayDataset(np.zeros((3, 1, 4, 4)), np.zeros((3, 2))),) * 2)


def differing(parent, child):
    """The fields in which two chains of the same length differ."""
    names = ("kernel", "width", "stride", "skip", "batch_norm", "kind")
    pairs = zip(parent, child, strict=True)
    return [name for one, other in pairs for name in names if getattr(one, name) != getattr(other, name)]


FIELDS = {"kernel": "kernel", "width": "width", "stride": "stride", "skip": "skip", "batch norm": "batch_norm"}


class TestMutation:
    @given(in_space, seeds)
    def test_a_child_lies_in_the_space_and_differs_by_one_step(self, parent, seed):
        name, child = mutate(parent, SPACE, Dice(seed, 2, 0))
        assert SPACE.allows(child)
        assert child.build((2, 9, 6), 4)
        grown = len(child) - len(parent)
        if name in ("insert convolution", "insert pooling"):
            assert grown == 1
            added = Counter(child.cells) - Counter(parent.cells)
            assert added.total() == 1
            assert (next(iter(added)) == POOL) == (name == "insert pooling")
        elif name == "remove":
            assert grown == -1
            assert not Counter(child.cells) - Counter(parent.cells)
        else:
            assert differing(parent, child) == ([FIELDS[name]] if name in FIELDS else [])

    @pytest.mark.parametrize("name", FIELDS)
    def test_a_field_reaches_every_other_value_of_every_convolution(self, name):
        field = FIELDS[name]
        values = {"kernel": (1, 3, 5), "width": (3, 4, 6), "stride": (1, 2)}.get(field, (False, True))
        reached = {child for child in map(Architecture, MUTATIONS[name](PARENT.cells, SPACE)) if SPACE.allows(child)}
        want = set()
        for place in (0, 2):
            for value in values:
                if value != getattr(PARENT.cells[place], field):
                    changed = list(PARENT.cells)
                    settings = {key: getattr(changed[place], key) for key in FIELDS.values()}
                    changed[place] = Cell(**{**settings, field: value})
                    want.add(Architecture(changed))
        smaller = {"stride": 1}.get(field, 0)  # 9 x 6 halved three times is too small: the space forbids that child
        assert len(want - reached) == smaller
        assert reached <= want

    def test_depth_reaches_every_place(self):
        inserted = MUTATIONS["insert convolution"](PARENT.cells, SPACE)
        assert len(inserted) == 4 * (len(SPACE.cells) - 1)
        pooled = {str(Architecture(cells)) for cells in MUTATIONS["insert pooling"](PARENT.cells, SPACE)}
        assert pooled == {
            "pool conv3x4 bn pool conv5x6/2 skip",
            "conv3x4 bn pool pool conv5x6/2 skip",
            "conv3x4 bn pool conv5x6/2 skip pool",
        }
        shorter = {str(Architecture(cells)) for cells in MUTATIONS["remove"](PARENT.cells, SPACE)}
        assert shorter == {"pool conv5x6/2 skip", "conv3x4 bn conv5x6/2 skip", "conv3x4 bn pool"}

    def test_each_mutation_is_drawn_as_often(self):
        space = SearchSpace((1, 64, 64), 10)
        drawn = Counter(mutate(PARENT_64, space, Dice(0, 2, number))[0] for number in range(900))
        assert set(drawn) == set(MUTATIONS)
        assert all(abs(count - 100) < 50 for count in drawn.values())  # five standard deviations

    def test_what_cannot_be_made_is_left_out(self):
        tiny = SearchSpace((1, 1, 1), 2, (3,), (8,), (1,), (False,), (False,), most_cells=1)
        drawn = {mutate(Architecture.parse("conv3x8"), tiny, Dice(0, 2, number)) for number in range(30)}
        assert drawn == {("identity", Architecture.parse("conv3x8"))}


PARENT_64 = Architecture.parse("conv3x8 bn pool conv5x16/2 skip")


class TestDice:
    def test_a_throw_depends_on_its_name_alone(self):
        def throws(*name):
            dice = Dice(*name)
            return [dice.below(1000) for _ in range(100)]

        assert throws(7, 1, 3) == throws(7, 1, 3)
        others = [throws(8, 1, 3), throws(7, 2, 3), throws(7, 1, 4)]
        assert all(other != throws(7, 1, 3) for other in others)
        assert len({training_seed(0, number) for number in range(1000)}) == 1000

    def test_it_is_even(self):
        dice = Dice(0, 1, 0)
        counts = Counter(dice.below(7) for _ in range(7000))
        assert sorted(counts) == list(range(7))
        assert all(abs(count - 1000) < 150 for count in counts.values())  # five standard deviations
        assert abs(np.mean([dice.chance(0.3) for _ in range(2000)]) - 0.3) < 0.05
        samples = [dice.sample("abc", 2) for _ in range(600)]
        assert all(len(set(sample)) == 2 for sample in samples)
        assert len(Counter(map(tuple, samples))) == 6
