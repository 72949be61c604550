"""Wrong solutions: partial credit, the kind of the mistake, and no training with what is wrong."""

import pytest
from grading import changed, grade_text, kinds, points


def test_a_wrong_scale_in_one_gradient_costs_that_part_and_the_training(tmp_path):
    grade = grade_text(tmp_path, changed("a05_conv_backward", ("return (dx, dw, db)", "return (dx, dw / len(x), db)")))
    assert points(grade)["conv2d_backward: dx"] == 30
    assert 0 < points(grade)["conv2d_backward: dw"] < 5  # a batch of one hides it
    assert points(grade)["conv2d_backward: db"] == 20
    assert points(grade)["training"] == 0
    assert kinds(grade)["conv2d_backward: dw"][0] == "scale"
    assert "1/N" in str(grade)


def test_overlapping_windows_that_overwrite_each_other(tmp_path):
    grade = grade_text(tmp_path, changed("a04_im2col", ("tap += cols[:, :, k]", "tap[...] = cols[:, :, k]")))
    assert "not-accumulated" in kinds(grade)["col2im"]
    assert 0 < points(grade)["col2im"] < 30
    assert points(grade)["im2col"] == 30
    assert "not before everything above is right" in str(grade)


def test_a_missing_path_of_the_gradient(tmp_path):
    grade = grade_text(tmp_path, changed("a07_batch_norm", (" - x_hat * _per_channel(dgamma / m, x)", "")))
    assert kinds(grade)["batch_norm_backward"][0] == "missing-term"
    assert points(grade)["batch_norm_forward"] == 30


def test_an_argument_that_is_ignored(tmp_path):
    text = changed("a03_convolution_by_loops") + IGNORES_PADDING
    grade = grade_text(tmp_path, text)
    assert 0 < points(grade)["conv2d_forward"] < 80
    assert "ignores-argument" in kinds(grade)["conv2d_forward"]


IGNORES_PADDING = """
full = conv2d_forward


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    y = full(x, w, b, stride=stride, padding=padding)
    inside = full(x, w, b, stride=stride)
    y[...] = 0
    y[:, :, : inside.shape[2], : inside.shape[3]] = inside
    return y
"""


def test_an_argument_that_is_not_taken_costs_half(tmp_path):
    text = 'ASSIGNMENT = "a03_convolution_by_loops"\n' + changed("a05_conv_backward").split("\n", 1)[1]
    text += "\nfull = conv2d_forward\n\n\ndef conv2d_forward(x, w, b):\n    return full(x, w, b)\n"
    grade = grade_text(tmp_path, text)
    assert points(grade) == {"conv2d_forward": 40, "training": 0}
    assert "does not take stride, padding" in str(grade)


def test_an_input_that_is_written_to(tmp_path):
    text = changed("a02_linear_softmax", ("y = x @ w.T", "x *= 2\n    y = x @ w.T / 2"))
    grade = grade_text(tmp_path, text)
    assert "mutates-input" in kinds(grade)["linear_forward"]
    assert points(grade)["linear_forward"] == 18


def test_forward_differences_are_not_central_ones(tmp_path):
    text = changed("a01_finite_differences", ("x[i] = kept - h", "x[i] = kept"), ("(2 * h)", "h"))
    grade = grade_text(tmp_path, text)
    assert 0 < points(grade)["numeric_gradient"] < 70
    assert "not central differences" in str(grade)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("/ (2 * h)", "/ h", "scale"),
        ("(above - f(x))", "(f(x) - above)", "sign"),
        ("        x[i] = kept\n", "", "mutates-input"),
        ("return gradient", "return np.zeros_like(x)", "zero"),
        ("return gradient", "return gradient.ravel()", "shape"),
        ("return gradient", "return gradient.astype(np.float32)", "dtype"),
    ],
)
def test_mistakes_in_finite_differences(old, new, kind, tmp_path):
    grade = grade_text(tmp_path, changed("a01_finite_differences", (old, new)))
    assert kind in kinds(grade)["numeric_gradient"], str(grade)
    assert points(grade)["relative_error"] == 30


def test_a_relative_error_that_divides_by_zero(tmp_path):
    text = changed("a01_finite_differences", ("np.where(size == 0, 1, size)", "size"))
    assert "non-finite" in kinds(grade_text(tmp_path, text))["relative_error"]


def test_gradients_that_do_not_add_up_are_a_matter_of_manners(tmp_path):
    grade = grade_text(tmp_path, changed("a10_layer", ("self.weight.add_grad(dw)", "self.weight.grad = dw")))
    assert points(grade) == {"forward": 25, "gradients": 35, "manners": 15, "training": 0}
    assert kinds(grade)["manners"] == ["not-accumulated"]


def test_a_layer_that_goes_back_without_having_gone_forward(tmp_path):
    old = "x = self.saved\n"
    new = "x = getattr(self, 'kept', np.zeros((1, 3, 4, 4), dtype=np.float32))\n"
    text = changed("a10_layer", (old, new), ("self.saved = x", "self.kept = x"))
    grade = grade_text(tmp_path, text)
    assert "wrong-cache" in kinds(grade)["manners"]


def test_a_layer_without_parameters(tmp_path):
    grade = grade_text(tmp_path, changed("a10_layer", ("self.weight = new_weight", "self.kernels = new_weight")))
    assert grade.score == 0
    assert "self.weight is not there, or no nn.Parameter" in str(grade)


def test_functions_that_remember_the_first_call_fail_in_training_at_the_latest(tmp_path):
    text = changed("a03_convolution_by_loops")
    text += """
full = conv2d_forward
KERNELS = {}


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    w = KERNELS.setdefault(w.shape, w) if x.shape[2:] in ((8, 8), (4, 4)) and len(x) == 8 else w
    return full(x, w, b, stride=stride, padding=padding)
"""
    grade = grade_text(tmp_path, text)
    assert points(grade) == {"conv2d_forward": 80, "training": 0}
    assert "the loss is" in str(grade)


def test_slow_loops_get_a_share_of_the_points_for_speed(tmp_path):
    text = changed("a11_numba")
    text += """
import time

quick = conv2d_forward


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    time.sleep(0.05 if len(x) == 4 else 0)
    return quick(x, w, b, stride=stride, padding=padding)
"""
    grade = grade_text(tmp_path, text)
    assert points(grade)["right"] == 40
    assert 0 < points(grade)["speed"] < 40
    assert points(grade)["training"] == 20
    assert "times as fast as loops in Python" in str(grade)
