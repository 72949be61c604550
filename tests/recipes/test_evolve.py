"""Evolution on landscapes whose optimum is known, its rules one by one, and trainings that are remembered."""

import json
from collections import Counter

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, optim
from minicnn.backend import default_rng
from minicnn.data import ArrayDataset
from minicnn.errors import ArgumentError, CheckpointError, DataError, NonFiniteError
from minicnn.recipes import Architecture, SearchSpace, evolve, random_architectures, train_architecture
from minicnn.recipes.architecture import POOL

SPACE = SearchSpace((1, 32, 32), 10, most_cells=5)
TARGET = Architecture.parse("conv3x32 bn pool conv5x16 bn skip conv3x32/2 skip")


def closeness(architecture, seed):
    """1 at the target; every field that differs costs a 30th, every cell too many or too few five of them."""
    wrong = 5 * abs(len(architecture) - len(TARGET))
    for cell, wanted in zip(architecture, TARGET, strict=False):
        names = ("kernel", "width", "stride", "skip", "batch_norm")
        wrong += 5 if (cell == POOL) != (wanted == POOL) else sum(getattr(cell, n) != getattr(wanted, n) for n in names)
    return 1 - wrong / 30


def search(**options):
    return evolve(**{"space": SPACE, "fitness": closeness, "population": 6, "evaluations": 30, **options})


@pytest.fixture(scope="module")
def few():
    """A hundred and one digits and fifty to validate on: one image is left over in batches of 25."""
    digits = data.normalise(data.load("digits"))
    return digits.train.subset(slice(0, 101)), digits.validation.subset(slice(0, 50))


SMALL = {"kernels": (3,), "widths": (4,), "most_cells": 3}


class TestAgainstRandomSearch:
    def test_it_finds_the_optimum_more_often_at_the_same_cost(self):
        evolved = [search(population=10, evaluations=250, seed=seed).best for seed in range(8)]
        random = [
            random_architectures(space=SPACE, fitness=closeness, evaluations=250, seed=seed).best for seed in range(8)
        ]
        assert sum(best.architecture == TARGET for best in evolved) >= 4
        assert sum(best.architecture == TARGET for best in random) == 0
        assert np.mean([e.fitness - r.fitness for e, r in zip(evolved, random, strict=True)]) > 0.1

    def test_both_start_from_the_same_individuals(self):
        random = random_architectures(space=SPACE, fitness=closeness, evaluations=6, seed=3)
        for one, other in zip(search(seed=3).individuals[:6], random.individuals, strict=True):
            assert (one.architecture, one.seed, one.fitness) == (other.architecture, other.seed, other.fitness)


class TestRules:
    @pytest.mark.parametrize(("tournament", "together"), [(2, 1), (2, 4), (4, 1), (3, 2), (6, 1)])
    def test_winners_have_children_and_losers_are_removed(self, tournament, together):
        result = search(tournament=tournament, together=together, evaluations=40)
        everyone, living = result.individuals, set(range(6))
        for start in range(6, 40, together):
            children = everyone[start : start + together]
            for child in children:
                assert len(set(child.contestants)) == tournament
                assert set(child.contestants) <= living
                values = {number: everyone[number].fitness for number in child.contestants}
                assert values[child.parent] == max(values.values())
                assert values[child.removed] == min(values.values())
                assert child.parent != child.removed
                living.remove(child.removed)
            living |= {child.number for child in children}
        assert living == set(result.population)
        assert len(living) == 6

    def test_a_tournament_of_all_removes_the_worst_of_all(self):
        result = search(tournament=6)
        kept = sorted(one.fitness for one in result.individuals)[-7:]
        assert min(result.individuals[number].fitness for number in result.population[:-1]) >= kept[0]

    def test_everyone_living_is_drawn_as_often(self):
        """With equal fitness for all, each of six is in a tournament of two with probability 1/3."""
        result = search(fitness=lambda architecture, seed: 0.5, evaluations=1206)
        living, places = list(range(6)), Counter()
        for child in result.individuals[6:]:
            places.update(living.index(number) for number in child.contestants)
            living.remove(child.removed)
            living.append(child.number)
        assert all(abs(places[place] - 400) < 82 for place in range(6))  # five standard deviations

    def test_it_repeats_for_a_seed_and_begins_where_a_longer_one_does(self):
        def told(result):
            return [(one.architecture, one.fitness, one.seed, one.parent, one.mutation) for one in result.individuals]

        whole = told(search(seed=5, evaluations=40))
        mc.seed(99)
        assert told(search(seed=5, evaluations=40)) == whole
        assert told(search(seed=5, evaluations=25)) == whole[:25]
        assert told(search(seed=6, evaluations=40)) != whole

    def test_all_can_start_from_one(self):
        start = Architecture.parse("conv3x8")
        result = search(start=start)
        assert {(one.architecture, one.mutation) for one in result.individuals[:6]} == {(start, "start")}

    def test_a_training_that_diverges_is_worth_nothing(self):
        def diverging(architecture, seed):
            if architecture.cells[0] == POOL:
                raise NonFiniteError("NaN in layer 0")
            return closeness(architecture, seed)

        result = search(fitness=diverging, evaluations=60)
        diverged = [one for one in result.individuals if one.architecture.cells[0] == POOL]
        assert diverged
        assert {(one.fitness, one.error) for one in diverged} == {(0.0, "NaN in layer 0")}
        assert f"{len(diverged)} of them diverged" in str(result)
        assert not result.best.error

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"population": 1}, "population must be a whole number of at least 2, not 1"),
            ({"tournament": 1}, "tournament must be a whole number of at least 2, not 1"),
            ({"tournament": 7}, "a tournament of 7 needs as many individuals; the population is 6"),
            ({"evaluations": 5}, "evaluations must be at least the population, 6, not 5"),
            ({"together": 6}, r"together may be at most population - tournament \+ 1 = 5, not 6"),
            ({"jobs": 0}, "jobs must be a whole number of at least 1"),
            ({"fitness": None}, "there is nothing to train on: give data, or both space= and fitness="),
            ({"fitness": 0.5}, "fitness must be a function"),
            ({"space": None}, "the search needs a space"),
            ({"start": Architecture.parse("conv7x8")}, "start is 'conv7x8', which does not lie in the space"),
            ({"start": "conv3x8"}, "start must be an Architecture, not 'conv3x8'"),
            ({"fitness": lambda architecture, seed: float("nan")}, "is NaN"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options, message):
        with pytest.raises(ArgumentError, match=message):
            search(**options)


class TestResult:
    def test_the_lineage_leads_from_the_first_to_the_best(self):
        result = search(evaluations=80)
        lines = result.lineage().splitlines()[1:]
        assert len(lines) == len(result.ancestors(result.best.number)) > 2
        assert str(result.best.architecture) in lines[-1]
        assert "random" in lines[0]
        first, last = (float(line.split()[1]) for line in (lines[0], lines[-1]))
        gains = sum(float(line.split()[2]) for line in lines[1:])
        assert abs(last - first - gains) < 0.001 * len(lines)

    def test_best_table_and_csv_tell_the_same(self):
        result = search()
        assert result.best.fitness == max(result.fitness) == result.best_so_far[-1]
        assert list(result.best_so_far[:3]) == [max(result.fitness[: n + 1]) for n in range(3)]
        assert str(result.best.architecture) in result.table(1).splitlines()[1]
        assert len(result.table().splitlines()) == 31
        rows = result.to_csv().splitlines()
        assert rows[0].startswith("number,parent,removed,mutation,fitness")
        child = result.individuals[10]
        assert rows[11].split(",")[:5] == [
            "10",
            str(child.parent),
            str(child.removed),
            child.mutation,
            f"{child.fitness}",
        ]
        assert rows[1].startswith("0,,,random,")

    def test_the_figure_shows_every_individual_and_the_best_so_far(self):
        result = search()
        lines = {line.get_label(): line for line in result.plot().axes[0].lines}
        np.testing.assert_array_equal(lines["each individual"].get_ydata(), result.fitness)
        np.testing.assert_array_equal(lines["best so far"].get_ydata(), np.maximum.accumulate(result.fitness))
        chain = [one.fitness for one in result.ancestors(result.best.number)]
        np.testing.assert_array_equal(lines["the winner's ancestors"].get_ydata(), chain)


class TestTraining:
    def test_fitness_is_the_validation_accuracy_of_a_training_that_can_be_repeated(self, few):
        space = SearchSpace.of(few, **SMALL)
        result = evolve(few, space=space, population=2, evaluations=3, epochs=2, batch_size=25, seed=4)
        best = result.best
        trainer = train_architecture(best.architecture, few, seed=best.seed, epochs=2, batch_size=25)
        assert trainer.history["val_accuracy"][-1] == best.fitness
        assert np.mean(trainer.predict_classes(few[1].x) == few[1].y) == pytest.approx(best.fitness)
        assert best.parameters == sum(p.data.size for p in trainer.model.parameters())
        assert best.seconds > 0
        assert len({one.seed for one in result.individuals}) == 3

    def test_the_seed_is_that_of_mc_seed_and_the_process_keeps_its_own(self, few):
        architecture = Architecture.parse("conv3x4 bn conv3x4/2 skip")
        mc.seed(11)
        model = architecture.build((1, 8, 8), 10)
        by_hand = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.02))
        history = by_hand.fit(few[0], validation=few[1], epochs=2, batch_size=32, verbose=False)
        mc.seed(5)
        trainer = train_architecture(architecture, few, seed=11, epochs=2, batch_size=32, lr=0.02)
        assert trainer.history["val_loss"] == history["val_loss"]
        after = default_rng()
        mc.seed(5)
        assert after == default_rng()

    def test_the_test_set_stays_sealed(self, few):
        splits = data.Splits("few", *few, data.SealedDataset(few[1]), few[0].classes)
        with_splits = random_architectures(splits, space=SearchSpace.of(splits, **SMALL), evaluations=2, epochs=1)
        with_pair = random_architectures(few, space=SearchSpace.of(few, **SMALL), evaluations=2, epochs=1)
        assert splits.test.seal.openings == []
        assert list(with_splits.fitness) == list(with_pair.fitness)
        with pytest.raises(DataError, match="a sealed test set is for evaluate"):
            random_architectures((few[0], splits.test), evaluations=2)

    def test_any_number_of_jobs_gives_the_same(self, few, monkeypatch):
        monkeypatch.setattr("minicnn.backend.threads._count", 1)
        space = SearchSpace.of(few, **SMALL)
        options = {"space": space, "population": 4, "evaluations": 6, "together": 2, "epochs": 1}
        with mc.use_backend("numpy"):  # the processes take it over, and load no kernels
            one, two = (evolve(few, jobs=jobs, **options) for jobs in (1, 2))
        assert [i.architecture for i in one.individuals] == [i.architecture for i in two.individuals]
        assert list(one.fitness) == list(two.fitness)

    def test_a_space_for_other_data_is_refused(self, few):
        with pytest.raises(ArgumentError, match=r"the space is for images \(1, 32, 32\) of 10 classes, the data has"):
            evolve(few, space=SPACE)
        with pytest.raises(ArgumentError, match="batch_size must be a whole number of at least 2"):
            evolve(few, batch_size=1)
        with pytest.raises(ArgumentError, match="architecture must be an Architecture"):
            train_architecture("conv3x8", few, seed=0)

    def test_a_single_image_left_over_does_not_end_the_search(self):
        part = ArrayDataset(np.random.default_rng(0).standard_normal((9, 1, 2, 2)), np.arange(9) % 2)
        one_pixel = Architecture.parse("conv3x4/2 bn")
        trainer = train_architecture(one_pixel, (part, part), seed=0, epochs=1, batch_size=4)
        assert trainer.epoch == 1


class TestFolder:
    def test_a_search_that_was_killed_repeats_nothing(self, tmp_path):
        asked = []

        def counted(architecture, seed):
            asked.append(str(architecture))
            if len(asked) == 17:
                raise KeyboardInterrupt
            return closeness(architecture, seed)

        with pytest.raises(KeyboardInterrupt):
            search(fitness=counted, folder=tmp_path)
        assert len(list(tmp_path.glob("0*.json"))) == 16
        again = search(fitness=counted, folder=tmp_path)
        assert len(asked) == 31
        whole = search()
        assert [one.architecture for one in again.individuals] == [one.architecture for one in whole.individuals]
        assert list(again.fitness) == list(whole.fitness)
        assert json.loads((tmp_path / "0003.json").read_text())["fitness"] == whole.fitness[3]

    def test_another_search_is_refused(self, tmp_path, few):
        search(folder=tmp_path)
        search(folder=tmp_path, evaluations=35)
        with pytest.raises(CheckpointError, match="holds a search with population = 6, not 7; choose another folder"):
            search(folder=tmp_path, population=7)
        with pytest.raises(CheckpointError, match="holds a search with seed = 0, not 1"):
            search(folder=tmp_path, seed=1)
        with pytest.raises(CheckpointError, match="holds a search with kind = 'evolution', not 'random architectures'"):
            random_architectures(space=SPACE, fitness=closeness, folder=tmp_path)

    def test_other_data_is_another_search(self, tmp_path, few):
        options = {"space": SearchSpace.of(few, **SMALL), "evaluations": 1, "epochs": 1, "folder": tmp_path}
        random_architectures(few, **options)
        random_architectures(few, **options)
        with pytest.raises(CheckpointError, match="holds a search with fitness = 'ValidationAccuracy"):
            random_architectures((few[0], few[0]), **options)

    def test_damaged_files_are_named(self, tmp_path):
        search(folder=tmp_path)
        (tmp_path / "0002.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"0002\.json is no JSON .* remove it"):
            search(folder=tmp_path)
        (tmp_path / "0002.json").write_text(json.dumps({"architecture": "conv3x8", "fitness": 1}))
        with pytest.raises(CheckpointError, match=r"0002\.json is of another architecture"):
            search(folder=tmp_path)


def test_a_training_that_diverges_is_worse_than_any_other_whatever_fitness_means():
    def negative_loss(architecture, seed):
        if seed % 3 == 0:
            raise NonFiniteError("diverged")
        return -1.0 - len(architecture.cells)

    result = evolve(space=SPACE, fitness=negative_loss, population=4, evaluations=16)
    assert any(one.error for one in result.individuals)
    assert not result.best.error
    assert result.best.fitness < 0


def test_a_folder_knows_one_nameless_fitness_from_another(tmp_path):
    options = {"space": SPACE, "population": 2, "evaluations": 2, "folder": tmp_path}
    evolve(fitness=lambda architecture, seed: float(len(architecture.cells)), **options)
    with pytest.raises(CheckpointError, match="holds a search with fitness"):
        evolve(fitness=lambda architecture, seed: -7.0, **options)


def test_a_seed_has_to_be_one():
    with pytest.raises(ArgumentError, match="seed must be a whole number"):
        evolve(space=SPACE, fitness=lambda architecture, seed: 0.0, seed=-1)
