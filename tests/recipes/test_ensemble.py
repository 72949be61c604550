"""Ensembles: against scikit-learn's voting and plain loops, what members add, and what is refused."""

import math

import numpy as np
import pytest
from gpu import strict_cupy
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.preprocessing import LabelEncoder

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.data import ArrayDataset, SealedDataset
from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.recipes import Ensemble, train_ensemble
from minicnn.train import Callback, MovingAverage


class Says(nn.Layer):
    """Answers the example number x with the scores that it was given, one row an example."""

    def __init__(self, probabilities):
        self.scores = nn.Parameter(np.log(np.asarray(probabilities, dtype=np.float64)))

    def forward(self, x):
        return self.scores.data[x[:, 0].astype(int)]


class Theirs:
    """What scikit-learn sees of such a layer: an estimator that needs no fitting."""

    def __init__(self, layer):
        self.p = np.exp(layer.scores.data) / np.exp(layer.scores.data).sum(axis=1, keepdims=True)

    def predict_proba(self, x):
        return self.p[x[:, 0].astype(int)]

    def predict(self, x):
        return self.predict_proba(x).argmax(axis=1)


def numbers(count):
    return np.arange(float(count))[:, None]


@pytest.fixture
def five():
    """Five members that know something of 200 examples of 4 classes, the labels, and the examples."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 200)
    members = [Says(rng.dirichlet(np.ones(4), 200) + 0.3 * np.eye(4)[labels]) for _ in range(5)]
    return members, numbers(200), labels


def their_vote(members, voting):
    vote = VotingClassifier([(str(i), None) for i in range(len(members))], voting=voting)
    vote.estimators_ = [Theirs(member) for member in members]
    vote.le_ = LabelEncoder().fit(np.arange(4))
    vote.classes_ = vote.le_.classes_
    return vote


def test_the_mean_is_scikit_learns_soft_vote(five):
    members, x, _ = five
    ensemble, theirs = Ensemble(members), their_vote(members, "soft")
    np.testing.assert_allclose(ensemble.predict_proba(x, batch_size=7), theirs.predict_proba(x), rtol=1e-12)
    np.testing.assert_array_equal(ensemble.predict_classes(x), theirs.predict(x))


def test_a_majority_is_scikit_learns_hard_vote_where_there_is_no_tie(five):
    members, x, _ = five
    ensemble = Ensemble(members, vote="majority")
    p = ensemble.predict_proba(x)
    votes = np.stack([member.predict(x) for member in map(Theirs, members)])
    shares = np.array([[(votes[:, n] == k).sum() / 5 for k in range(4)] for n in range(200)])
    np.testing.assert_allclose(p, shares)
    clear = np.sort(p, axis=1)[:, -1] > np.sort(p, axis=1)[:, -2]
    assert 20 < clear.sum() < 200
    np.testing.assert_array_equal(
        ensemble.predict_classes(x)[clear], their_vote(members, "hard").predict(x)[clear], strict=True
    )


def test_ties_of_a_majority_go_to_the_larger_mean():
    two = [Says([[0.55, 0.4, 0.05], [0.5, 0.3, 0.2]]), Says([[0.1, 0.8, 0.1], [0.25, 0.2, 0.55]])]
    ensemble = Ensemble(two, vote="majority")
    np.testing.assert_array_equal(ensemble.predict_proba(numbers(2)), [[0.5, 0.5, 0], [0.5, 0, 0.5]])
    np.testing.assert_array_equal(ensemble.predict_classes(numbers(2)), [1, 0])  # means 0.6 and 0.375


def test_a_tie_never_goes_to_a_class_without_a_vote_for_it():
    """The mean alone would choose class 1, everybody's second."""
    two = [Says([[0.51, 0.49, 1e-9]]), Says([[1e-9, 0.49, 0.51]])]
    assert Ensemble(two).predict_classes(numbers(1)) == [1]
    assert Ensemble(two, vote="majority").predict_classes(numbers(1))[0] in (0, 2)


def test_evaluate_is_scikit_learns_accuracy_and_log_loss(five):
    members, x, labels = five
    ensemble = Ensemble(members)
    measures = ensemble.evaluate(x, labels)
    p = their_vote(members, "soft").predict_proba(x)
    assert measures == ensemble.evaluate((x, labels)) == ensemble.evaluate(ArrayDataset(x, labels))
    assert measures["accuracy"] == accuracy_score(labels, p.argmax(axis=1))
    assert measures["loss"] == pytest.approx(log_loss(labels, p), rel=1e-12)


def test_a_majority_has_an_accuracy_and_no_loss(five):
    members, x, labels = five
    ensemble = Ensemble(members, vote="majority")
    expected = accuracy_score(labels, ensemble.predict_classes(x))
    assert ensemble.evaluate(x, labels) == {"accuracy": expected}


def test_a_label_that_everyone_thinks_impossible_has_a_finite_loss():
    model = nn.Sequential(nn.Linear(1, 2))
    model[0].weight.data, model[0].bias.data = np.float32([[1e4], [-1e4]]), np.zeros(2, np.float32)
    assert 50 < Ensemble([model]).evaluate(np.ones((1, 1)), [1])["loss"] < 1000


@pytest.fixture(scope="module")
def digits():
    return data.normalise(data.load("digits"))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 10),
    )  # fmt: skip


def make(seed):
    model = network()
    return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=0.01))


def test_members_of_two_dtypes_in_training_mode_are_asked_in_evaluation_mode(digits):
    x = digits.validation.x[:30]
    one, other = network().train(), network().astype(np.float64).train()
    p = Ensemble([one, other]).predict_proba(x)
    assert p.dtype == np.float64
    expected = (mc.Trainer(one).predict_proba(x) + mc.Trainer(other).predict_proba(x)) / 2
    np.testing.assert_allclose(p, expected, rtol=1e-6)
    assert one.training
    assert Ensemble([one]).predict_proba(x).dtype == np.float32
    np.testing.assert_array_equal(Ensemble([one]).predict_proba(x), mc.Trainer(one).predict_proba(x))


def test_members_on_two_devices_are_asked_where_they_are(five):
    members, x, labels = five
    expected = Ensemble(members[:2]).evaluate(x, labels)
    with strict_cupy.installed():
        members[1].to("cupy")
        assert Ensemble(members[:2]).evaluate(x, labels) == expected
        assert type(members[1].scores.data) is not np.ndarray


def test_a_sealed_test_set_is_opened_once(digits):
    sealed = SealedDataset(digits.validation)
    ensemble = Ensemble([network() for _ in range(3)])
    ensemble.evaluate(sealed)
    assert sealed.seal.openings == ["evaluated: an ensemble of 3"]
    ensemble.contributions(sealed)
    assert sealed.seal.openings[1:] == ["contributions measured: an ensemble of 3"]


class TestContributions:
    @pytest.mark.parametrize("vote", ["mean", "majority"])
    def test_are_what_smaller_ensembles_score(self, five, vote):
        members, x, labels = five
        result = Ensemble(members, vote=vote).contributions((x, labels))

        def accuracy(*some):
            return Ensemble(some, vote=vote).evaluate(x, labels)["accuracy"]

        assert result.ensemble == accuracy(*members)
        np.testing.assert_array_equal(result.own, [accuracy(member) for member in members])
        np.testing.assert_array_equal(result.first, [accuracy(*members[: m + 1]) for m in range(5)])
        np.testing.assert_array_equal(
            result.without, [accuracy(*(other for other in members if other is not member)) for member in members]
        )
        for i, one in enumerate(members):
            for j, other in enumerate(members):
                apart = np.mean(Theirs(one).predict(x) != Theirs(other).predict(x))
                assert result.disagreement[i, j] == apart

    def test_a_copy_of_a_member_disagrees_with_nothing_of_it(self, five):
        members, x, labels = five
        result = Ensemble([members[0], members[0]]).contributions((x, labels))
        assert result.disagreement.max() == 0
        assert result.ensemble == result.own[0] == result.without[1]

    def test_with_a_score_of_ones_own(self, five):
        members, x, labels = five
        result = Ensemble(members).contributions((x, labels), score=balanced_accuracy_score)
        assert result.score == "balanced_accuracy"
        assert result.own[2] == balanced_accuracy_score(labels, Theirs(members[2]).predict(x))

    def test_an_ensemble_of_one_has_none_without_it(self, five):
        members, x, labels = five
        result = Ensemble(members[:1]).contributions((x, labels))
        assert math.isnan(result.without[0])
        assert result.first[0] == result.own[0] == result.ensemble
        assert "nan" not in str(result)
        assert str(result).splitlines()[2].split()[2:4] == ["-", "-"]

    def test_print_as_a_table(self, five):
        members, x, labels = five
        result = Ensemble(members).contributions((x, labels))
        title, head, *rows, mean = str(result).splitlines()
        assert title == f"accuracy of the ensemble of 5: {result.ensemble:.4f}"
        assert len({len(line) for line in (head, *rows)}) == 1
        added = result.ensemble - result.without[3]
        apart = np.delete(result.disagreement[3], 3).mean()
        assert rows[3].split() == [
            "3", f"{result.own[3]:.4f}", f"{result.without[3]:.4f}", f"{added:+.4f}", f"{result.first[3]:.4f}",
            f"{apart:.4f}",
        ]  # fmt: skip
        assert mean.split() == ["mean", f"{result.own.mean():.4f}"]

    def test_are_drawn(self, five):
        members, x, labels = five
        result = Ensemble(members).contributions((x, labels))
        scores, matrix = result.plot().axes
        lines = {line.get_label(): line for line in scores.lines}
        np.testing.assert_array_equal(lines["the member alone"].get_ydata(), result.own)
        np.testing.assert_array_equal(lines["the members up to this one"].get_ydata(), result.first)
        np.testing.assert_array_equal(matrix.images[0].get_array(), result.disagreement)
        assert matrix.texts[1].get_text() == f"{result.disagreement[0, 1]:.3f}"


FIT = {"epochs": 2, "batch_size": 64, "verbose": False}


class TestTraining:
    def test_each_member_repeats_on_its_own(self, digits):
        ensemble = train_ensemble(make, digits.train, members=2, seed=5, **FIT)
        mc.seed(6)
        alone = make(6)
        history = alone.fit(digits.train, **FIT)
        assert ensemble.histories[1].rows == history.rows
        for name, value in ensemble.models[1].state_dict().items():
            np.testing.assert_array_equal(value, alone.model.state_dict()[name], strict=True)
        assert ensemble.histories[0].rows != history.rows

    def test_runs_are_kept_and_gone_on_with(self, digits, tmp_path):
        few = digits.train.subset(np.arange(100))
        fit = {**FIT, "out": tmp_path, "resume": True}
        train_ensemble(make, few, members=2, **fit)
        (tmp_path / "member_1" / "checkpoint.npz").unlink()
        steps = []

        class Count(Callback):
            def on_batch_end(self, batch, logs):
                steps.append(batch)

        ensemble = train_ensemble(make, few, members=3, callbacks=lambda: [Count()], **fit)
        assert len(steps) == 2 * 2 * 2, "member 0 was there, members 1 and 2 were trained"
        assert [history.epoch for history in ensemble.histories] == [[1, 2]] * 3

    def test_each_member_has_callbacks_of_its_own(self, digits):
        few, averages = digits.train.subset(np.arange(100)), []

        def callbacks():
            averages.append(MovingAverage(0.9))
            return averages[-1:]

        ensemble = train_ensemble(make, few, members=2, callbacks=callbacks, vote="majority", **FIT)
        for model, average in zip(ensemble.models, averages, strict=True):
            np.testing.assert_array_equal(model[6].weight.data, average.average["6.weight"])
        assert ensemble.vote == "majority"

    def test_refusals(self, digits):
        trainer = make(0)
        few = digits.train.subset(np.arange(10))
        with pytest.raises(ArgumentError, match=r"returned a model that it had returned before"):
            train_ensemble(lambda seed: trainer, few, **FIT)
        with pytest.raises(ArgumentError, match=r"what make\(seed\) returns must be a Trainer"):
            train_ensemble(lambda seed: network(), few, **FIT)
        with pytest.raises(ArgumentError, match="members must be a whole number of at least 1, not 0"):
            train_ensemble(make, few, members=0)
        with pytest.raises(ArgumentError, match=r"give a function that builds them, lambda: \[\.\.\.\]"):
            train_ensemble(make, few, callbacks=[MovingAverage()])


class TestRefusals:
    def test_no_members_or_something_else(self):
        with pytest.raises(ArgumentError, match="at least one model; the list is empty"):
            Ensemble([])
        with pytest.raises(ArgumentError, match=r"models\[1\] must be a Layer, not 'basic'"):
            Ensemble([nn.Linear(2, 2), "basic"])
        with pytest.raises(ArgumentError, match="takes a list of models"):
            Ensemble(nn.Linear(2, 2))
        with pytest.raises(ArgumentError, match="vote must be 'mean' or 'majority', not 'median'"):
            Ensemble([nn.Linear(2, 2)], vote="median")

    def test_members_with_other_classes_before_all_inputs_are_gone_through(self):
        seen = []
        members = [nn.Linear(3, 10), nn.Linear(3, 10), nn.Linear(3, 7)]
        members[0].add_hook(lambda layer, x, y: seen.append(len(x)))
        x = np.zeros((500, 3))
        for ask in (
            Ensemble(members).predict_proba,
            Ensemble(members).predict_classes,
            lambda x: Ensemble(members).evaluate(x, np.zeros(500, int)),
            lambda x: Ensemble(members).contributions((x, np.zeros(500, int))),
        ):
            with pytest.raises(ArgumentError, match=r"models\[0\] tells 10 classes apart and models\[2\] 7; "):
                ask(x)
        assert set(seen) == {1}

    def test_a_data_set_with_other_classes(self):
        ensemble, x = Ensemble([nn.Linear(3, 4)]), np.zeros((5, 3))
        with pytest.raises(ArgumentError, match="tell 4 classes apart, but the data set has 3: cat, dog, owl"):
            ensemble.evaluate(ArrayDataset(x, [0, 1, 2, 0, 1], classes=["cat", "dog", "owl"]))

    @pytest.mark.parametrize(
        ("y", "words"),
        [
            ([0, 1, 4], "there is a label 4, but the members tell classes 0 to 3 apart"),
            ([0, -1, 1], "there is a label -1"),
            ([0.0, 1.0, 2.0], r"labels must be whole numbers \(N,\), not float64 of shape \(3,\)"),
            (np.eye(3, 4, dtype=int), r"not int64 of shape \(3, 4\)"),
        ],
    )
    def test_labels(self, y, words):
        ensemble = Ensemble([nn.Linear(3, 4)])
        with pytest.raises(DataError, match=words):
            ensemble.evaluate(np.zeros((3, 3)), y)

    def test_outputs_that_are_no_scores_of_classes(self):
        with pytest.raises(ShapeError, match=r"models\[0\] gives \(1, 1\) for one example; .* \(N, K\), K >= 2"):
            Ensemble([nn.Linear(3, 1)]).predict_proba(np.zeros((5, 3)))
        with pytest.raises(ShapeError, match=r"models\[0\] gives \(1, 2, 4, 4\)"):
            Ensemble([nn.Conv2d(1, 2, 1)]).predict_proba(np.zeros((5, 1, 4, 4)))

    def test_inputs(self):
        ensemble = Ensemble([nn.Linear(3, 4)])
        with pytest.raises(DataError, match=r"not a data set: predict_proba\(dataset.x\)"):
            ensemble.predict_proba(ArrayDataset(np.zeros((5, 3)), np.zeros(5, int)))
        for nothing in (np.zeros((0, 3)), 3.0):
            with pytest.raises(DataError, match="there are no examples"):
                ensemble.predict_proba(nothing)
