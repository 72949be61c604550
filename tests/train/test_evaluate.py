"""Measuring and predicting: nothing random, nothing changed, and the test set's openings counted."""

import copy

import numpy as np
import pytest

from minicnn import nn
from minicnn.data import SealedDataset
from minicnn.errors import ArgumentError, CheckpointWarning, DataError
from minicnn.train import load_checkpoint, save_checkpoint


@pytest.fixture
def trained(new_trainer, few):
    trainer = new_trainer()
    trainer.fit(few, epochs=2)
    return trainer


MEASURE = {
    "evaluate": lambda trainer, data: trainer.evaluate(data),
    "predict": lambda trainer, data: trainer.predict(data.x),
    "predict_proba": lambda trainer, data: trainer.predict_proba(data.x),
    "predict_classes": lambda trainer, data: trainer.predict_classes(data.x),
}


@pytest.mark.parametrize("measure", MEASURE.values(), ids=MEASURE.keys())
class TestAllOfThem:
    def test_nothing_of_the_training_changes(self, trained, few, state_of, measure):
        before = state_of(trained)
        measure(trained, few)
        assert state_of(trained) == before

    def test_every_layer_keeps_its_mode(self, trained, few, measure):
        trained.model.train()
        trained.model[1].eval()
        before = [layer.training for _, layer in trained.model.named_layers()]
        measure(trained, few)
        assert [layer.training for _, layer in trained.model.named_layers()] == before

    def test_the_mode_comes_back_after_an_error_too(self, trained, few, measure):
        trained.model.train()
        few.x = few.x[:, :, :5]
        with pytest.raises(ValueError, match="Linear"):
            measure(trained, few)
        assert all(layer.training for _, layer in trained.model.named_layers())

    def test_two_times_give_the_same(self, trained, few, measure):
        assert str(measure(trained, few)) == str(measure(trained, few))


@pytest.mark.parametrize("batch_size", [1, 7, 40, 1000])
def test_results_do_not_depend_on_the_batch_size(trained, few, batch_size):
    expected = trained.evaluate(few)
    assert trained.evaluate(few, batch_size=batch_size) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        trained.predict(few.x, batch_size=batch_size), trained.predict(few.x), rtol=1e-4, atol=1e-5
    )


def test_evaluate_gives_the_loss_and_accuracy_of_the_predictions(trained, few):
    scores = trained.predict(few.x).astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    got = trained.evaluate(few)
    assert got["loss"] == pytest.approx(-log_p[np.arange(40), few.y].mean(), rel=1e-5)
    assert got["accuracy"] == pytest.approx((scores.argmax(axis=1) == few.y).mean())
    assert all(type(value) is float for value in got.values())


def test_predict_is_the_models_output_in_evaluation_mode(trained, few):
    np.testing.assert_array_equal(trained.predict(few.x), trained.model.eval()(few.x))


def test_probabilities_are_the_softmax_and_each_row_sums_to_1(trained, few):
    scores = trained.predict(few.x).astype(np.float64)
    probabilities = trained.predict_proba(few.x)
    assert probabilities.shape == (40, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(probabilities, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), rtol=1e-5)


def test_probabilities_of_huge_scores_are_finite(trained, few):
    trained.model[6].weight.data = trained.model[6].weight.data * np.float32(1e5)
    np.testing.assert_allclose(trained.predict_proba(few.x).sum(axis=1), 1, rtol=1e-6)


def test_classes_are_the_most_probable_ones(trained, few):
    classes = trained.predict_classes(few.x)
    assert classes.shape == (40,)
    np.testing.assert_array_equal(classes, trained.predict_proba(few.x).argmax(axis=1))


def test_inputs_of_another_float_type_are_converted(trained, few):
    np.testing.assert_array_equal(trained.predict(few.x.astype(np.float64)), trained.predict(few.x))


def test_nothing_to_predict_is_refused(trained, few):
    with pytest.raises(DataError, match="x is empty"):
        trained.predict(few.x[:0])


@pytest.mark.parametrize("batch_size", [0, 2.5])
def test_a_batch_size_that_is_no_count_is_refused(trained, few, batch_size):
    with pytest.raises(ArgumentError, match="batch_size"):
        trained.predict(few.x, batch_size=batch_size)
    with pytest.raises(ArgumentError, match="batch_size"):
        trained.evaluate(few, batch_size=batch_size)


def test_an_image_without_a_batch_is_refused_with_a_hint(trained, few):
    with pytest.raises(ValueError, match=r"x\[None\]"):
        trained.predict(few.x[0])


class TestSealedTestSet:
    def test_every_evaluate_opens_it_once(self, trained, sealed):
        trained.evaluate(sealed)
        assert sealed.seal.openings == ["evaluated after epoch 2"]
        trained.evaluate(sealed, batch_size=3)
        assert len(sealed.seal.openings) == 2
        assert trained.test_set_openings == sealed.seal.openings

    def test_it_measures_what_is_inside(self, trained, sealed):
        inside = trained.evaluate(sealed.open("to compare in a test"))
        assert trained.evaluate(sealed) == inside

    def test_an_opening_of_ones_own_is_known_to_the_training_too(self, trained, sealed):
        sealed.open("a look")
        trained.evaluate(sealed)
        assert trained.test_set_openings == ["a look", "evaluated after epoch 2"]

    def test_ordinary_data_are_not_counted(self, trained, few):
        trained.evaluate(few)
        assert trained.test_set_openings == []

    def test_the_count_survives_a_checkpoint_and_another_process_seal(self, trained, new_trainer, sealed, tmp_path):
        trained.evaluate(sealed)
        save_checkpoint(trained, tmp_path / "checkpoint.npz")
        resumed = new_trainer()
        load_checkpoint(resumed, tmp_path / "checkpoint.npz")
        fresh = type(sealed)(sealed.open("to get at the data"))
        resumed.evaluate(fresh)
        assert resumed.test_set_openings == ["evaluated after epoch 2"] * 2
        assert fresh.seal.openings == resumed.test_set_openings

    def test_a_resumed_run_knows_of_openings_after_its_last_epoch(self, new_trainer, few, sealed, tmp_path):
        trainer = new_trainer()
        trainer.fit(few, epochs=1, out=tmp_path)
        trainer.evaluate(sealed)
        resumed = new_trainer()
        resumed.fit(few, epochs=2, out=tmp_path, resume=True)
        assert resumed.test_set_openings == ["evaluated after epoch 1"]


def test_a_model_without_parameters_predicts_in_float32(new_trainer):
    trainer = new_trainer()
    trainer.model = nn.Flatten()
    assert trainer.predict(np.ones((2, 3, 4))).shape == (2, 12)

    def test_equal_reasons_of_different_runs_are_all_counted(self, new_trainer, few, sealed, tmp_path):
        earlier = new_trainer()
        earlier.fit(few, epochs=1, out=tmp_path)
        earlier.evaluate(SealedDataset(sealed.open("to get at the data")))
        other = new_trainer()
        other.fit(few, epochs=1)
        fresh = SealedDataset(sealed.open("to get at the data"))
        other.evaluate(fresh)
        resumed = new_trainer()
        resumed.fit(few, epochs=1, out=tmp_path, resume=True)
        resumed.evaluate(fresh)
        assert fresh.seal.openings == ["evaluated after epoch 1"] * 3

    def test_a_copy_of_a_test_set_shares_its_seal(self, sealed):
        copy.deepcopy(sealed).open("through a copy")
        assert sealed.seal.openings == ["through a copy"]


def test_an_opening_is_counted_once_when_a_run_goes_on_in_the_same_process(new_trainer, few, sealed, tmp_path):
    first = new_trainer()
    first.fit(few, epochs=1, out=tmp_path)
    first.evaluate(sealed)
    second = new_trainer()
    second.fit(few, epochs=2, out=tmp_path, resume=True)
    second.evaluate(sealed)
    assert sealed.seal.openings == ["evaluated after epoch 1", "evaluated after epoch 2"]


def test_a_score_is_not_lost_with_the_runs_folder(new_trainer, few, sealed, tmp_path):
    trainer = new_trainer()
    trainer.fit(few, epochs=1, out=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    with pytest.warns(CheckpointWarning, match="could not be written down"):
        assert 0 <= trainer.evaluate(sealed)["accuracy"] <= 1
