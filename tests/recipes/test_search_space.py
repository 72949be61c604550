"""What a search may draw: the right distributions, the same values whatever else is drawn, and clear refusals."""

import functools

import numpy as np
import pytest
from scipy import stats

from minicnn import optim
from minicnn.errors import ArgumentError
from minicnn.recipes import choice, integers, loguniform, uniform
from minicnn.recipes.search.space import checked_space, draw, grid, readable, seeds_of_trial


def drawn(values, count=600, seed=0):
    space = checked_space({"a": values})
    return [draw(space, seed, number)["a"] for number in range(count)]


class TestDistributions:
    def test_uniform(self):
        values = drawn(uniform(-2, 6))
        assert stats.kstest(values, stats.uniform(-2, 8).cdf).pvalue > 0.001
        assert all(type(value) is float for value in values)

    def test_loguniform(self):
        assert stats.kstest(drawn(loguniform(1e-5, 10)), stats.loguniform(1e-5, 10).cdf).pvalue > 0.001

    def test_integers_have_both_ends_and_nothing_beyond(self):
        values, counts = np.unique(drawn(integers(-1, 3)), return_counts=True)
        assert values.tolist() == [-1, 0, 1, 2, 3]
        assert stats.chisquare(counts).pvalue > 0.001

    @pytest.mark.parametrize("values", [choice("x", 2, None), ["x", 2, None], ("x", 2, None)])
    def test_a_choice_or_a_list_has_all_its_values_equally_often(self, values):
        values = drawn(values)
        counts = [values.count(value) for value in ("x", 2, None)]
        assert sum(counts) == 600
        assert stats.chisquare(counts).pvalue > 0.001

    def test_numpy_s_numbers_become_python_s(self):
        assert {type(value) for value in drawn(np.geomspace(1, 100, 3), 20)} == {float}
        assert {type(value) for value in drawn(choice(*np.arange(4)), 20)} == {int}
        assert {type(value) for value in drawn(range(3), 20)} == {int}


SPACE = checked_space({"lr": loguniform(1e-4, 1), "width": choice(8, 16, 32), "p": uniform(0, 1), "n": integers(1, 99)})


class TestDraws:
    def test_a_trial_s_settings_do_not_depend_on_what_was_drawn_before(self):
        alone = draw(SPACE, 5, 7)
        assert [draw(SPACE, 5, number) for number in range(9)][7] == alone

    def test_nor_on_the_other_settings_and_their_order(self):
        some = {name: SPACE[name] for name in ("p", "lr")}
        whole = draw(SPACE, 5, 7)
        assert draw(some, 5, 7) == {"p": whole["p"], "lr": whole["lr"]}

    def test_trials_settings_and_seeds_all_differ(self):
        both = checked_space({"a": uniform(0, 1), "b": uniform(0, 1)})
        values = [value for seed in (0, 1) for n in range(50) for value in draw(both, seed, n).values()]
        assert len(set(values)) == 200
        a, b = np.reshape(values, (-1, 2)).T
        assert abs(stats.pearsonr(a, b).statistic) < 0.3

    def test_seeds_of_a_trial_are_its_own_and_the_first_ones_stay_when_there_are_more(self):
        assert seeds_of_trial(3, 7, 5)[:2] == seeds_of_trial(3, 7, 2)
        seeds = {seed for search in (0, 1) for number in range(20) for seed in seeds_of_trial(search, number, 3)}
        assert len(seeds) == 120
        assert all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)


class TestGrid:
    def test_it_is_the_nested_loops(self):
        space = checked_space({"lr": [0.1, 0.01], "width": choice(8, 16), "depth": integers(1, 3)})
        wanted = []
        for lr in (0.1, 0.01):
            for width in (8, 16):
                for depth in (1, 2, 3):
                    wanted.append({"lr": lr, "width": width, "depth": depth})
        assert grid(space) == wanted

    @pytest.mark.parametrize("values", [uniform(1e-3, 1), loguniform(1e-3, 1)])
    def test_a_continuous_distribution_is_refused(self, values):
        with pytest.raises(ArgumentError, match=r"tries all values of a setting, and 'lr' is (log)?uniform\(0\.001, 1"):
            grid(checked_space({"width": [8], "lr": values}))


class TestRefusals:
    @pytest.mark.parametrize("space", [{}, [], None, "lr", [("lr", [1])]])
    def test_a_space_that_is_none(self, space):
        with pytest.raises(ArgumentError, match="the space must be a dict of settings by name"):
            checked_space(space)

    @pytest.mark.parametrize("values", [[], (), np.array([]), range(0)])
    def test_a_parameter_without_values(self, values):
        with pytest.raises(ArgumentError, match="the space's 'lr' has no values to choose from"):
            checked_space({"width": [8], "lr": values})

    @pytest.mark.parametrize("values", [0.1, "adam", None, {1, 2}])
    def test_a_parameter_that_is_no_list(self, values):
        with pytest.raises(ArgumentError, match="the space's 'lr' must be a list of values or one of choice"):
            checked_space({"lr": values})

    def test_a_name_that_is_no_string(self):
        with pytest.raises(ArgumentError, match="names must be strings, as they become arguments; not 3"):
            checked_space({3: [1]})

    def test_a_choice_of_nothing(self):
        with pytest.raises(ArgumentError, match=r"choice\(\) has no values"):
            choice()

    @pytest.mark.parametrize(("low", "high"), [(2, 1), (0.5, 3), ("a", 3), (0, float("inf"))])
    def test_integers(self, low, high):
        with pytest.raises(ArgumentError, match=r"integers\(.*expected whole numbers, the lower one first"):
            integers(low, high)

    @pytest.mark.parametrize("make", [uniform, loguniform])
    @pytest.mark.parametrize(("low", "high"), [(2, 1), (1, 1), (1, float("nan")), (1, float("inf")), ("a", 2)])
    def test_bounds(self, make, low, high):
        with pytest.raises(ArgumentError, match=r"uniform\(.*expected two finite numbers, the lower one first"):
            make(low, high)

    @pytest.mark.parametrize("low", [0, -1.0])
    def test_a_logarithm_of_nothing(self, low):
        with pytest.raises(ArgumentError, match="low must be above 0"):
            loguniform(low, 1)


def test_values_read_the_same_in_every_process():
    assert readable(optim.Adam) == "Adam"
    assert "0x" not in readable(functools.partial(print, object()))
    assert repr(choice(8, "a", optim.SGD)) == "choice(8, 'a', SGD)"
