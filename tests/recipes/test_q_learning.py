"""Q-learning: the update by hand, the schedule, what the agent may choose, and whether it learns."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from minicnn import data
from minicnn.errors import ArgumentError, CheckpointError, NonFiniteError
from minicnn.recipes import Architecture, SearchSpace, design_by_q_learning
from minicnn.recipes.architecture import POOL, epsilon_schedule
from minicnn.recipes.architecture.dice import Dice
from minicnn.recipes.architecture.q_learning import END, SCHEDULE, Agent, QTable, State, Step

SPACE = SearchSpace((1, 16, 16), 10, (1, 3), (8, 16), (1,), (False,), (False,), most_cells=3)
START, MIDDLE = State("", 0, 2), State("conv3x8", 1, 2)


def worth(architecture, seed):
    """More for 16 channels, more for pooling at the end: 0.2 to 0.9."""
    wide = sum(cell.width == 16 for cell in architecture)
    return 0.2 + 0.2 * wide + 0.3 * (architecture.cells[-1] == POOL)


def design(**options):
    return design_by_q_learning(**{"space": SPACE, "fitness": worth, "episodes": 30, **options})


class TestUpdate:
    STEPS = (Step(START, "conv3x8", MIDDLE, ("pool", END)), Step(MIDDLE, END, None, ()))

    def test_two_steps_by_hand(self):
        """Backwards, alpha = 0.1: Q(middle, end) = 0.9 * 0.5 + 0.1 * 0.8, and then the start sees that at once."""
        q = QTable(alpha=0.1)
        q.learn(self.STEPS, 0.8)
        assert q(MIDDLE, END) == pytest.approx(0.53)
        assert q(START, "conv3x8") == pytest.approx(0.9 * 0.5 + 0.1 * 0.53)
        q.learn(self.STEPS, 0.8)
        assert q(MIDDLE, END) == pytest.approx(0.9 * 0.53 + 0.1 * 0.8)
        assert q(START, "conv3x8") == pytest.approx(0.9 * 0.503 + 0.1 * 0.557)
        assert len(q.values) == 2

    def test_what_was_never_tried_is_worth_a_half(self):
        """A bad end does not spoil what comes before it, as long as something untried promises more."""
        q = QTable(alpha=0.5)
        q.learn(self.STEPS, 0.0)
        assert q(MIDDLE, END) == 0.25
        assert q(START, "conv3x8") == 0.5
        assert q(START, "conv1x8") == 0.5

    def test_gamma_makes_what_is_far_away_worth_less(self):
        q = QTable(alpha=1.0, gamma=0.5)
        q.learn(self.STEPS, 0.8)
        assert q(MIDDLE, END) == 0.8
        assert q(START, "conv3x8") == pytest.approx(0.4)

    def test_the_best_is_taken_and_equal_ones_in_turn(self):
        q = QTable(alpha=0.1)
        dice = Dice(0, 3, 0)
        seen = Counter(q.best(START, ["a", "b", "c"], dice) for _ in range(300))
        assert len(seen) == 3
        assert min(seen.values()) > 60  # five standard deviations
        q.values[START, "b"] = 0.51
        assert {q.best(START, ["a", "b", "c"], dice) for _ in range(20)} == {"b"}

    def test_replay_reaches_what_the_rewards_are(self):
        """With every reward seen often enough, Q of the last step is the reward: the fixed point of the update."""
        q = QTable(alpha=0.1)
        for _ in range(300):
            q.learn(self.STEPS, 0.8)
            q.learn((Step(START, "conv3x8", MIDDLE, ("pool", END)), Step(MIDDLE, "pool", None, ())), 0.9)
        assert q(MIDDLE, END) == pytest.approx(0.8)
        assert q(START, "conv3x8") == pytest.approx(0.9)


class TestSchedule:
    def test_it_is_the_paper_s_at_the_paper_s_length(self):
        epsilons = epsilon_schedule(2700)
        assert Counter(epsilons) == {1.0: 1500, 0.9: 100, 0.8: 100, 0.7: 100} | dict.fromkeys(
            [0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 150
        )
        assert epsilons == sorted(epsilons, reverse=True)

    @given(st.integers(1, 300), st.dictionaries(st.floats(0, 1), st.floats(0.01, 100), min_size=1, max_size=6))
    def test_every_episode_has_one_and_each_epsilon_its_share(self, episodes, schedule):
        counts = Counter(epsilon_schedule(episodes, schedule))
        assert counts.total() == episodes
        total = sum(schedule.values())
        assert all(abs(counts[epsilon] - episodes * share / total) <= 1 + 1e-6 for epsilon, share in schedule.items())

    @pytest.mark.parametrize(
        ("schedule", "message"),
        [
            ({1.5: 1}, "an epsilon is a probability, from 0 to 1, not 1.5"),
            ({-0.1: 1}, "an epsilon is a probability"),
            ({float("nan"): 1}, "an epsilon is a probability"),
            ({0.5: 0}, "the share of epsilon 0.5 must be a number above 0, not 0"),
            ({}, "schedule must map each epsilon to its share"),
            (0.5, "schedule must map each epsilon to its share"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, schedule, message):
        with pytest.raises(ArgumentError, match=message):
            design(schedule=schedule)


class TestAgent:
    @given(seeds, st.floats(0, 1))
    def test_a_design_lies_in_the_space_and_its_steps_lead_to_it(self, seed, epsilon):
        architecture, steps = Agent(SPACE, QTable()).design(epsilon, Dice(seed, 3, 0))
        assert SPACE.allows(architecture)
        assert architecture.build(SPACE.input_shape, 10)
        assert [step.action for step in steps] == [*map(str, architecture), END]
        assert [step.state for step in steps[1:]] == [step.after for step in steps[:-1]]
        for step, after in pairwise(steps):
            assert after.action in step.choices
        assert steps[-1].after is None

    def test_states_tell_the_cell_the_depth_and_the_size(self):
        agent = Agent(SPACE, QTable())
        conv = SPACE.cells[0]
        assert agent.state([]) == State("", 0, 2)
        assert agent.state([conv]) == State("conv1x8", 1, 2)
        assert agent.state([POOL]) == State("pool", 1, 2)
        assert agent.state([POOL, POOL]) == State("pool", 2, 1)
        assert agent.state([POOL, POOL, POOL]) == State("pool", 3, 0)
        assert END not in agent.choices([])
        assert list(agent.choices([conv] * 3)) == [END]

    def test_epsilon_is_the_share_of_random_choices(self):
        """With a Q that prefers the end, a chain is one cell long unless a random choice goes on: 3/4 * 5/6."""
        q = QTable()
        agent = Agent(SPACE, q)
        for cell in SPACE.cells:
            q.values[agent.state([cell]), END] = 1.0
        designs = [agent.design(0.75, Dice(0, 3, number))[0] for number in range(800)]
        longer = np.mean([len(architecture) > 1 for architecture in designs])
        assert abs(longer - 0.75 * 5 / 6) < 0.086  # five standard deviations
        assert {len(agent.design(0.0, Dice(0, 3, number))[0]) for number in range(20)} == {1}


class TestDesign:
    def test_it_beats_random_at_the_end(self):
        gains = []
        for seed in range(4):
            result = design(episodes=120, schedule={1.0: 60, 0.5: 20, 0.1: 40}, seed=seed)
            assert result.mean_accuracy()[0.1] > result.mean_accuracy()[1.0] + 0.1
            chance = design(episodes=120, schedule={1.0: 1}, seed=seed)
            gains.append(np.mean(result.accuracy[-40:]) - np.mean(chance.accuracy[-40:]))
        assert min(gains) > 0.1
        assert np.mean(gains) > 0.2

    def test_without_replay_nothing_is_learned(self):
        result = design(episodes=120, schedule={1.0: 60, 0.1: 60}, replay=0)
        assert result.q == {}
        assert abs(result.mean_accuracy()[0.1] - result.mean_accuracy()[1.0]) < 0.15

    def test_no_architecture_is_trained_twice(self):
        asked = []

        def counted(architecture, seed):
            asked.append(architecture)
            return worth(architecture, seed)

        result = design(fitness=counted, episodes=80)
        assert len(asked) == len(set(asked)) == len(result.individuals) < 80
        assert sum(episode.trained for episode in result.episodes) == len(asked)
        assert {episode.architecture for episode in result.episodes} == set(asked)
        assert result.best.fitness == max(result.accuracy)
        for episode in result.episodes:
            assert episode.accuracy == worth(episode.architecture, 0)

    def test_it_repeats_for_a_seed_and_goes_on_in_its_folder(self, tmp_path):
        asked = []

        def counted(architecture, seed):
            asked.append(str(architecture))
            if len(asked) == 9:
                raise KeyboardInterrupt
            return worth(architecture, seed)

        whole = design(seed=3)
        with pytest.raises(KeyboardInterrupt):
            design(seed=3, fitness=counted, folder=tmp_path)
        again = design(seed=3, fitness=counted, folder=tmp_path)
        assert len(asked) == len(whole.individuals) + 1
        assert again.episodes == whole.episodes
        assert again.q == whole.q
        assert design(seed=4).episodes != whole.episodes
        with pytest.raises(CheckpointError, match=r"holds a search with alpha = 0\.01, not 0\.1"):
            design(seed=3, fitness=counted, folder=tmp_path, alpha=0.1)

    def test_a_training_that_diverges_is_worth_nothing(self):
        def diverging(architecture, seed):
            if POOL in architecture.cells:
                raise NonFiniteError("NaN in layer 0")
            return 0.5

        result = design(fitness=diverging)
        assert {episode.accuracy for episode in result.episodes if POOL in episode.architecture.cells} == {0.0}
        assert any("diverged" in line for line in result.table().splitlines())

    def test_means_and_figure_say_what_the_episodes_say(self):
        result = design(episodes=40, schedule={1.0: 3, 0.5: 1})
        assert result.mean_accuracy()[1.0] == pytest.approx(np.mean(result.accuracy[:30]))
        assert list(result.mean_accuracy()) == [1.0, 0.5]
        rolling = [np.mean(result.accuracy[max(0, n - 9) : n + 1]) for n in range(40)]
        np.testing.assert_allclose(result.rolling_mean(), rolling)
        axes = result.plot().axes[0]
        tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(tops, list(result.mean_accuracy().values()))
        np.testing.assert_allclose(axes.lines[1].get_ydata(), rolling)
        assert "epsilon 0.5  mean" in str(result)

    def test_it_trains_on_real_images(self):
        digits = data.load("digits")
        part = digits.train.subset(slice(0, 60)), digits.validation.subset(slice(0, 40))
        space = SearchSpace.of(part, kernels=(3,), widths=(4,), strides=(1,), most_cells=2)
        result = design_by_q_learning(part, space=space, episodes=3, epochs=1, batch_size=20)
        assert all(0 <= episode.accuracy <= 1 for episode in result.episodes)
        assert isinstance(result.best.architecture, Architecture)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"episodes": 0}, "episodes must be a whole number of at least 1"),
            ({"alpha": 0}, "alpha must be above 0 and at most 1, not 0"),
            ({"gamma": 1.5}, "gamma must be above 0 and at most 1, not 1.5"),
            ({"replay": -1}, "replay must be a whole number of at least 0"),
            ({"space": (1, 8, 8)}, "space must be a SearchSpace"),
            ({"fitness": None}, "there is nothing to train on"),
        ],
    )
    def test_other_arguments_that_make_no_sense_are_refused(self, options, message):
        with pytest.raises(ArgumentError, match=message):
            design(**options)

    def test_the_schedule_falls_from_one_to_a_tenth(self):
        assert max(SCHEDULE) == next(iter(SCHEDULE)) == 1.0
        assert min(SCHEDULE) == list(SCHEDULE)[-1] == 0.1
