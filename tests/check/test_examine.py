"""examine: right functions pass in whatever form they come, wrong results are named, and so are bad manners."""

import functools
import time

import numpy as np
import pytest
from oracles import needs_torch, torch

from minicnn import ops
from minicnn.backend import plug, slots, use_backend
from minicnn.check import Report, examine
from minicnn.check.cases import examinations
from minicnn.errors import ArgumentError
from minicnn.kernels.numba import FILLINGS

SECONDS = 5.0  # in which any examination is over
every_operation = pytest.mark.parametrize("name", sorted(slots()))


def kinds(report, where=None):
    """The kinds that a report names, in its order; those of one result."""
    return [f.kind for f in report.findings if where in (None, f.where)]


def assert_passes(report):
    assert report.ok, report
    assert report.verdict == "ok"
    assert not report.findings, report
    assert not report.notes, report
    assert all(right == tried > 0 for right, tried in report.tallies.values())


def linear(x, w, b):
    """A right linear_forward."""
    return x @ w.T if b is None else x @ w.T + b


# Right functions pass


@every_operation
def test_every_plain_body_passes(name, backend):
    examine(name, slots()[name].body)  # which compiles the kernels that the body uses
    begun = time.perf_counter()
    report = examine(name, slots()[name].body)
    assert_passes(report)
    assert list(report.tallies) == list(slots()[name].returns) or name.endswith("_all")
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize("name", sorted(FILLINGS))
def test_every_kernel_passes(name, backend):
    examine(name, FILLINGS[name])  # which compiles it
    begun = time.perf_counter()
    assert_passes(examine(name, FILLINGS[name]))
    assert time.perf_counter() - begun < SECONDS


@every_operation
def test_what_fills_the_slot_makes_no_difference(name):
    """The reference is the plain body itself, not whatever somebody has plugged into the operation."""
    body = slots()[name].body

    @functools.wraps(body)
    def forbidden(*args, **kwargs):
        raise AssertionError("the examiner asked what was plugged in")

    @functools.wraps(body)
    def twice(*args, **kwargs):
        results = body(*args, **kwargs)
        return _doubled(results) if len(slots()[name].returns) == 1 else (_doubled(results[0]), *results[1:])

    before = str(examine(name, twice))
    with plug(**{name: forbidden}):
        assert_passes(examine(name, body))
        assert str(examine(name, twice)) == before
    assert "FAILED" in before


def test_plugged_random_bits_do_not_spoil_the_cases():
    examinations.cache_clear()
    try:
        with plug(random_bits=lambda key, *, count, like=None: np.zeros(count, dtype=np.uint32)):
            assert_passes(examine("linear_forward", linear))
        assert examinations("linear_forward")[0].case.args["x"].any()
    finally:
        examinations.cache_clear()


def _doubled(value):
    if isinstance(value, list):
        return [2 * item for item in value]
    return ~value if np.asarray(value).dtype.kind == "b" else 2 * value


def test_the_backend_makes_no_difference():
    reports = []
    for backend in ("numpy", "numba"):
        with use_backend(backend):
            reports.append(str(examine("conv2d_backward", without_the_last_image)))
    assert reports[0] == reports[1]


def without_the_last_image(dy, x, w, *, stride=1, padding=0):
    """A conv2d_backward whose dw forgets one image."""
    options = {"stride": stride, "padding": padding}
    dx, _, db = ops.conv2d_backward.body(dy, x, w, **options)
    return dx, ops.conv2d_backward.body(dy[:-1], x[:-1], w, **options)[1], db


def by_autograd(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """PyTorch differentiates its own convolution."""
    dy, x, w = (torch.tensor(a) for a in (dy, x, w))
    x.requires_grad_()
    w.requires_grad_()
    b = torch.zeros(len(w), dtype=w.dtype, requires_grad=True)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = torch.nn.functional.conv2d(x, w, b, **options)
    return tuple(g.numpy() for g in torch.autograd.grad(y, (x, w, b), dy))


def by_the_functions_of_nn_grad(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """PyTorch's own names for the two gradients."""
    dy, x, w = (torch.tensor(a) for a in (dy, x, w))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    dx = torch.nn.grad.conv2d_input(x.shape, w, dy, **options)
    dw = torch.nn.grad.conv2d_weight(x, w.shape, dy, **options)
    return dx.numpy(), dw.numpy(), dy.sum(dim=(0, 2, 3)).numpy()


def by_the_kernel_beneath(dy, x, w, *, stride, padding, dilation=(1, 1), groups=1):
    """All three gradients by one call."""
    tensors = [torch.tensor(a) for a in (dy, x, w)]
    wanted = (True, True, True)
    results = torch.ops.aten.convolution_backward(
        *tensors, [len(w)], stride, padding, dilation, False, (0, 0), groups, wanted
    )
    return tuple(g.numpy() for g in results)


@needs_torch
@pytest.mark.parametrize("function", [by_autograd, by_the_functions_of_nn_grad, by_the_kernel_beneath])
def test_pytorch_passes(function):
    assert_passes(examine("conv2d_backward", function))


# Forms in which functions come


def test_the_operation_may_be_given_itself():
    assert_passes(examine(ops.linear_forward, linear))
    assert_passes(examine("linear_forward", ops.linear_forward))


def test_keywords_that_are_not_taken_are_not_examined():
    def simple(dy, x, w, *, stride=1, padding=0):
        return ops.conv2d_backward.body(dy, x, w, stride=stride, padding=padding)

    report = examine("conv2d_backward", simple)
    assert report.ok
    assert report.notes == ["not examined: dilation, groups (the function does not take them)"]
    full = examine("conv2d_backward", ops.conv2d_backward.body)
    assert 0 < report.tallies["dw"].tried < full.tallies["dw"].tried


def test_one_missing_keyword_is_said_in_the_singular():
    report = examine("leaky_relu_forward", lambda x: np.where(x > 0, x, 0.01 * x))
    assert report.ok
    assert report.notes == ["not examined: slope (the function does not take it)"]


def test_numbers_in_place_of_pairs_pass_with_a_remark():
    def for_numbers(x, *, kernel, stride=None, padding=0):
        side = len(range(kernel))  # which a pair is too much for
        return ops.avg_pool2d_forward.body(x, kernel=side, stride=stride, padding=padding)

    report = examine("avg_pool2d_forward", for_numbers)
    assert report.ok, report
    (finding,) = report.findings
    assert (finding.kind, finding.where, finding.remark) == ("raises", "pairs", True)
    assert "stride=2 but not stride=(2, 2)" in finding.message
    assert finding.evidence["numbers_only"] is True
    assert all(right == tried for right, tried in report.tallies.values())


def takes_any_keyword(x, w, b, **options):
    """Hands everything on."""
    return ops.conv2d_forward.body(x, w, b, **options)


def positional_only(x, w, b, /, *, stride=1, padding=0, dilation=1, groups=1):
    """Names that cannot be used by the caller."""
    return ops.conv2d_forward.body(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)


def other_names(image, kernels, bias, stride=1, padding=0, dilation=1, groups=1):
    """Arguments come by position, so that their names are the author's affair; keywords may come by position too."""
    return ops.conv2d_forward.body(
        image, kernels, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


class Convolution:
    """A callable object."""

    def __call__(self, x, w, b, *, stride, padding, dilation=1, groups=1):
        return positional_only(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)

    def method(self, x, w, b, **options):
        """Bound to its object when it is handed over."""
        return self(x, w, b, **options)


@pytest.mark.parametrize(
    "function",
    [
        takes_any_keyword,
        positional_only,
        other_names,
        Convolution(),
        Convolution().method,
        functools.partial(positional_only, groups=1),
        functools.partial(lambda unused, *args, **options: takes_any_keyword(*args, **options), "unused"),
    ],
)
def test_any_callable_will_do(function):
    assert_passes(examine("conv2d_forward", function))


@pytest.mark.parametrize(
    "function", [lambda x: x, lambda x, w, b, more: x, lambda x, *, w, b: x, lambda x, w, b, *, must: x, lambda: 0]
)
def test_a_function_that_cannot_take_the_arguments_is_told_so(function):
    report = examine("linear_forward", function)
    assert [(f.kind, f.where) for f in report.findings] == [("raises", "signature")]
    assert "linear_forward(x, w, b) -> y" in report.findings[0].message
    assert not report.ok


def test_an_author_s_name_stands_in_the_report():
    assert examine("linear_forward", linear).subject == "linear as linear_forward"
    assert examine("linear_forward", ops.linear_forward).subject == "linear_forward"
    assert examine("conv2d_forward", Convolution()).subject == "Convolution as conv2d_forward"


@pytest.mark.parametrize(
    ("operation", "function", "options", "words"),
    [
        ("linear_forward", 3, {}, "must be a function, not 3"),
        ("conv2d_backwards", linear, {}, "did you mean conv2d_backward"),
        ("nothing like it", linear, {}, "they are adam_update"),
        ("linear_forward", linear, {"seconds": 0}, "seconds must be above 0, not 0"),
        ("linear_forward", linear, {"seconds": float("nan")}, "seconds must be above 0"),
    ],
)
def test_what_cannot_be_examined_is_refused(operation, function, options, words):
    with pytest.raises(ArgumentError, match=words):
        examine(operation, function, **options)


# What comes back


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda y: None, "it returned None; is a return missing?"),
        (lambda y: (y, y), "it returned 2 values; expected one: y"),
        (lambda y: [y], "it returned a list with y in it; return y alone"),
        (lambda y: (y,), "it returned a tuple with y in it; return y alone"),
    ],
)
def test_a_wrong_number_of_results_is_counted(result, words):
    report = examine("linear_forward", lambda x, w, b: result(linear(x, w, b)))
    assert report.findings[0].kind == "shape"
    assert report.findings[0].where == "call"
    assert report.findings[0].message.startswith(words)
    assert report.tallies["y"].right == 0


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_too_few_and_too_many_of_several_results_are_counted(count):
    def some(dy, x, w):
        return (*ops.linear_backward.body(dy, x, w), 0)[:count]

    report = examine("linear_backward", some)
    assert report.findings[0].kind == "shape"
    values = "1 value" if count == 1 else f"{count} values"
    assert f"it returned {values}; expected 3: dx, dw, db" in report.findings[0].message


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (lambda dx, dw, db: {"dx": dx, "dw": dw, "db": db}, "it returned a dict; return dx, dw, db, in this order"),
        (lambda *all_three: [a.tolist() for a in all_three], "dx is a list; return an array: np.array(dx)"),
        (lambda dx, dw, db: (dx, dw, "db"), "db is a str; a NumPy array belongs there"),
        (lambda dx, dw, db: (dx, None, db), "dw is None"),
    ],
)
def test_several_results_of_which_one_is_no_array_are_described(results, words):
    report = examine("linear_backward", lambda dy, x, w: results(*ops.linear_backward.body(dy, x, w)))
    assert [(f.kind, f.where) for f in report.findings] == [("shape", "call")]
    assert report.findings[0].message.startswith(words)
    assert report.tallies == dict.fromkeys(("dx", "dw", "db"), (0, 5))


def test_results_in_another_order_are_recognised():
    def reordered(dy, x, w):
        dx, dw, db = ops.linear_backward.body(dy, x, w)
        return dw, dx, db

    report = examine("linear_backward", reordered)
    assert kinds(report)[0] == "shape"
    assert [str(f) for f in report.findings if "another order" in f.message] == [
        "dx: it is dw: the results are returned in another order",
        "dw: it is dx: the results are returned in another order",
    ]
    assert not kinds(report, "db")


@pytest.mark.parametrize(
    ("result", "kind", "words"),
    [
        (lambda y: y.tolist(), "shape", "it returned a list; return an array: np.array(y)"),
        (lambda y: "y", "shape", "y is a str; a NumPy array belongs there"),
        (lambda y: {"y": 1.0}, "shape", "it returned a dict; return y"),
        (lambda y: {"y": y}, "shape", "it returned a dict; return y"),
        (lambda y: y.astype(object), "shape", "y is an array of object; real numbers belong there"),
        (lambda y: y.astype(complex), "shape", "y is an array of complex128; real numbers belong there"),
        (lambda y: (row for row in y), "shape", "it returned a generator"),
        (lambda y: y.T, "transposed", "axes are exchanged: feature and sample"),
        (lambda y: y[..., None], "shape", "it has the shape (3, 5, 1); expected (3, 5)"),
        (lambda y: y.reshape(-1), "shape", "it has the shape (15,); expected (3, 5)"),
        (lambda y: y.sum(), "shape", "it has the shape (); expected (3, 5)"),
        (lambda y: y.astype(np.float32), "dtype", "it is float32 for arguments of float64"),
        (lambda y: y.astype(np.float64), "dtype", "it is float64 for arguments of float32"),
        (lambda y: y.astype(int), "dtype", "it is int64 for arguments of float64"),
        (lambda y: y.astype(np.float16), "dtype", "it is float16 for arguments of float64"),
        (lambda y: np.where(y == y.max(), np.nan, y), "non-finite", "it holds 1 NaN or infinity"),
        (lambda y: y / 0, "non-finite", "it holds 15 NaN or infinity"),
    ],
)
def test_a_result_that_is_no_such_array_is_described(result, kind, words):
    report = examine("linear_forward", lambda x, w, b: result(linear(x, w, b)))
    assert report.findings[0].kind == kind, report
    assert words in report.findings[0].message
    assert not report.ok


def test_sums_that_keep_their_axes_are_of_another_shape():
    def keeps_axes(dy, x, gamma, mean, inv_std):
        dx, dgamma, dbeta = ops.batch_norm_backward.body(dy, x, gamma, mean, inv_std)
        return dx, dgamma.reshape(1, -1, *[1] * (x.ndim - 2)), dbeta

    report = examine("batch_norm_backward", keeps_axes)
    assert kinds(report) == ["shape"]
    assert report.findings[0].where == "dgamma"
    assert "expected (2,)" in report.findings[0].message
    assert "as many numbers, in another arrangement" in report.findings[0].message


def test_numbers_that_went_through_float32_are_told_from_wrong_ones():
    def in_single(x, w, b):
        y = linear(x.astype(np.float32), w.astype(np.float32), None if b is None else b.astype(np.float32))
        return y.astype(x.dtype)

    report = examine("linear_forward", in_single)
    assert kinds(report) == ["dtype"]
    assert "seven digits" in report.findings[0].message


def test_what_is_wrong_in_float32_alone_is_said_so():
    def overflows(x, w, b):
        return linear(x, w, b) + (x.dtype == np.float32)

    report = examine("linear_forward", overflows)
    assert kinds(report) == ["dtype"]
    assert "right in float64, but not in float32" in report.findings[0].message
    assert not report.ok
    assert report.findings[0].evidence["seen_with"]
    assert all(label.endswith(", float32") for label in report.findings[0].evidence["seen_with"])
    assert report.tallies["y"] == (5, 5)  # the calls in float64


def read_only(a):
    """The array, locked."""
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("form", [read_only, np.asfortranarray, lambda a: a[:], lambda a: np.repeat(a, 2, axis=0)[::2]])
def test_any_memory_will_do(form):
    assert_passes(examine("linear_backward", lambda dy, x, w: list(map(form, ops.linear_backward.body(dy, x, w)))))


def test_a_result_may_be_a_view_of_an_input():
    assert_passes(examine("tanh_backward", lambda dy, y: dy if not y.any() else ops.tanh_backward.body(dy, y)))
    assert_passes(
        examine(
            "dropout_forward", lambda x, *, p, key: _all_of(x) if p == 0 else ops.dropout_forward.body(x, p=p, key=key)
        )
    )


def _all_of(x):
    return x, np.ones(x.shape, dtype=bool)


# Manners


def test_every_argument_that_is_written_to_is_named():
    def greedy(dy, x, w):
        results = ops.linear_backward.body(dy, x, w)
        dy *= 2
        w[0] = 0
        return results

    report = examine("linear_backward", greedy)
    assert [(f.kind, f.where) for f in report.findings] == [("mutates-input", "dy"), ("mutates-input", "w")]
    assert report.tallies["dx"].right == report.tallies["dx"].tried


def test_an_array_among_the_options_is_guarded_too():
    def normalises_the_weights(logits, labels, *, label_smoothing=0.0, class_weights=None):
        options = {"label_smoothing": label_smoothing, "class_weights": class_weights}
        results = ops.softmax_cross_entropy_forward.body(logits, labels, **options)
        if class_weights is not None:
            class_weights /= class_weights.sum()
        return results

    report = examine("softmax_cross_entropy_forward", normalises_the_weights)
    assert [(f.kind, f.where) for f in report.findings] == [("mutates-input", "class_weights")]


def sgd_in_place(w, dw, velocity, *, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """Updates in the arrays that it was given."""
    options = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    w[...], velocity[...] = ops.sgd_update.body(w.copy(), dw, velocity.copy(), **options)
    return w, velocity


def test_an_update_may_write_to_all_but_the_gradient():
    assert_passes(examine("sgd_update", sgd_in_place))

    def clips(w, dw, velocity, **options):
        dw[...] = np.clip(dw, -10, 10) + 0.0
        results = sgd_in_place(w, dw, velocity, **options)
        dw[...] = 0
        return results

    assert [(f.kind, f.where) for f in examine("sgd_update", clips).findings] == [("mutates-input", "dw")]


def test_an_update_of_all_may_write_to_all_but_the_gradients():
    def all_in_place(ws, dws, velocities, **options):
        pairs = [sgd_in_place(*arrays, **options) for arrays in zip(ws, dws, velocities, strict=True)]
        return [w for w, _ in pairs], [velocity for _, velocity in pairs]

    assert_passes(examine("sgd_update_all", all_in_place))


def test_chance_that_is_not_decided_by_the_key_is_found():
    random = np.random.default_rng(0)

    def any_mask(x, *, p, key):
        mask = random.random(x.shape) >= p
        return x * mask / (1 - p), mask

    assert "nondeterministic" in kinds(examine("dropout_forward", any_mask), "mask")


def test_a_result_that_is_kept_by_shape_is_found():
    kept = {}

    def cached(x, w, b):
        key = x.shape, w.shape, x.dtype, b is None
        if key not in kept:
            kept[key] = linear(x, w, b)
        return kept[key]

    report = examine("linear_forward", cached)
    assert kinds(report, "y") == ["wrong-cache"]
    assert "an earlier call" in report.findings[0].message


def test_a_result_that_is_kept_by_the_array_s_identity_is_found():
    kept = {}

    def cached(x, w, b):
        if id(x) not in kept:
            kept[id(x)] = x, linear(x, w, b)
        return kept[id(x)][1]

    assert kinds(examine("linear_forward", cached), "y") == ["wrong-cache"]


def test_a_cache_that_is_keyed_by_the_numbers_is_fine():
    kept = {}

    def cached(x, w, b):
        key = (x.tobytes(), w.tobytes(), x.shape, w.shape, x.dtype, None if b is None else b.tobytes())
        if key not in kept:
            kept[key] = linear(x, w, b)
        return kept[key].copy()

    assert_passes(examine("linear_forward", cached))


def test_a_tie_that_is_broken_otherwise_is_a_remark():
    def last_of_equals(x, *, kernel, stride=None, padding=0):
        y, argmax = ops.max_pool2d_forward.body(x, kernel=kernel, stride=stride, padding=padding)
        if np.unique(x).size < x.size / 2:
            _, from_behind = ops.max_pool2d_forward.body(x[:, :, ::-1, ::-1], kernel=kernel)
            argmax = (kernel[0] * kernel[1] - 1 - from_behind[:, :, ::-1, ::-1]).astype(argmax.dtype)
        return y, argmax

    report = examine("max_pool2d_forward", last_of_equals)
    assert [(f.kind, f.where, f.remark) for f in report.findings] == [("ties", "argmax", True)]
    assert report.ok
    assert report.undecided is False
    assert report.verdict == "ok"


# Several mistakes, tallies and evidence


def test_two_mistakes_in_two_results_are_both_named():
    def two(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        dx, dw, db = ops.conv2d_backward.body(dy, x, w, **options)
        return -dx, dw / len(x), db

    report = examine("conv2d_backward", two)
    assert kinds(report, "dx") == ["sign"]
    assert kinds(report, "dw")[0] == "scale"
    assert not kinds(report, "db")
    assert report.tallies["dx"].right == 0
    assert report.tallies["db"].right == report.tallies["db"].tried


def test_a_sign_and_a_size_are_both_named():
    """-2 in a case of two channels: what is read there as C must not keep 2 from being read elsewhere."""

    @functools.wraps(ops.conv2d_backward.body)
    def wrong(*args, **options):
        dx, dw, db = ops.conv2d_backward.body(*args, **options)
        return -2 * dx, dw, db

    assert {"sign", "scale"} <= set(kinds(examine("conv2d_backward", wrong), "dx"))


def test_dropout_divided_by_p_names_p():
    def divides_by_p(x, *, p, key):
        y, mask = ops.dropout_forward.body(x, p=p, key=key)
        return (np.where(mask, x / p, 0).astype(x.dtype) if p else y), mask

    finding = examine("dropout_forward", divides_by_p).findings[0]
    assert finding.kind == "scale"
    assert "another one for each example" not in finding.message
    assert "p" in finding.evidence["name"]


def test_a_loss_that_is_not_divided_by_the_number_of_predictions_names_it():
    @functools.wraps(ops.softmax_cross_entropy_backward.body)
    def summed(probabilities, labels, **options):
        return ops.softmax_cross_entropy_backward.body(probabilities, labels, **options) * labels.size

    finding = examine("softmax_cross_entropy_backward", summed).findings[0]
    assert finding.kind == "scale"
    assert finding.evidence["name"].startswith("N")


def test_a_mistake_in_stride_names_stride_alone():
    def right_for_stride_one(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        dx, dw, db = ops.conv2d_backward.body(dy, x, w, **options)
        return (dx if stride == (1, 1) else dx + np.sin(x)), dw, db

    report = examine("conv2d_backward", right_for_stride_one)
    assert [(f.kind, f.where) for f in report.findings] == [("ignores-argument", "dx")]
    assert report.findings[0].evidence["argument"] == "stride"
    assert set(report.findings[0].evidence["seen_with"]) == {"stride 2", "stride (2, 1)", "stride 2, square"}


def test_the_evidence_holds_the_worst_entry_and_what_differences_say_there():
    def one_wrong_entry(dy, x, w):
        dx, dw, db = ops.linear_backward.body(dy, x, w)
        dw[-1, 0] += 0.5
        return dx, dw, db

    (finding,) = examine("linear_backward", one_wrong_entry).findings
    evidence = finding.evidence
    assert finding.kind == "unknown"
    assert evidence["index"] == (4, 0)
    assert evidence["wrong"] == 1
    assert evidence["entries"] == 20
    assert evidence["case"] == "plain: dy (3, 5), x (3, 4), w (5, 4)"
    assert evidence["got"] - evidence["expected"] == pytest.approx(0.5)
    assert evidence["differences"] == pytest.approx(evidence["expected"], rel=1e-6)
    assert "none of the mistakes that are known fits" in finding.message.lower()


def test_the_most_specific_finding_stands_first():
    report = examine("conv2d_backward", without_the_last_image)
    ranks = [f.kind.rank for f in report.findings]
    assert report.findings[0].kind == "partial-batch"
    assert ranks[0] == min(ranks)


@pytest.mark.parametrize("name", ["linear_forward", "sgd_update_all", "softmax_cross_entropy_forward"])
def test_examining_twice_says_the_same(name):
    body = slots()[name].body
    assert examine(name, body).to_json() == examine(name, body).to_json()
    assert isinstance(examine(name, body), Report)
