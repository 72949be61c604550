"""What a check found, as a person reads it, as a program reads it, and as a figure."""

import json
import math
import re

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, ops
from minicnn.check import Finding, Kind, Report, Tally, TensorCheck, examine

ESCAPE = "\033["


def wrong_in_two_ways(dy, x, w):
    """A linear_backward with a sign and a size that are wrong."""
    dx, dw, db = ops.linear_backward.body(dy, x, w)
    return -dx, dw / len(x), db


@pytest.fixture(scope="module")
def failed():
    """The report on it."""
    return examine("linear_backward", wrong_in_two_ways)


def made(*findings, **others):
    """A report with these findings."""
    return Report("mine", list(findings), **{"check": "examine", **others})


MISTAKE = Finding(Kind.SIGN, "dx", "the sign is wrong", {"case": "plain"}, "Follow the minus signs.")
REMARK = Finding(Kind.RAISES, "call", "it refuses this", {}, "Nothing to do.", remark=True)
TIE = Finding(Kind.TIES, "x", "nothing but kinks", {}, "Choose random numbers.")
UNWRITTEN = Finding(Kind.RAISES, "call", "it is not written yet", {"unwritten": True})


# The verdict


@pytest.mark.parametrize(
    ("findings", "ok", "undecided", "verdict"),
    [
        ([], True, False, "ok"),
        ([REMARK], True, False, "ok"),
        ([MISTAKE], False, False, "FAILED"),
        ([MISTAKE, REMARK], False, False, "FAILED"),
        ([TIE], False, True, "UNDECIDED"),
        ([TIE, MISTAKE], False, False, "FAILED"),
        ([UNWRITTEN], False, False, "NOT WRITTEN YET"),
    ],
)
def test_the_verdict_follows_from_the_findings(findings, ok, undecided, verdict):
    report = made(*findings)
    assert (report.ok, report.undecided, report.verdict) == (ok, undecided, verdict)
    assert bool(report) is ok
    assert str(report).splitlines()[0] == f"examine of mine: {verdict}"


def test_a_finding_compares_with_a_text():
    assert MISTAKE.kind == "sign"
    assert str(MISTAKE) == "dx: the sign is wrong"
    assert f"{MISTAKE.kind}" == "sign"


# As a person reads it


def test_the_first_line_says_it_all(failed):
    assert str(failed).splitlines()[0] == "examine of wrong_in_two_ways as linear_backward: FAILED"


def test_every_result_has_its_line(failed):
    lines = [re.sub(" +", " ", line.strip()) for line in str(failed).splitlines()]
    assert lines[1:4] == ["dx wrong in all 5 calls", "dw wrong in 4 of 5 calls", "db right in all 5 calls"]


def test_every_wrong_result_has_its_mistake_its_numbers_and_its_hint(failed):
    text = str(failed)
    assert "* dx: [sign] the sign is wrong; everything else is right" in text
    assert "* dw: [scale] it is 1/N times what it should be" in text
    assert "    > Follow the minus signs through your derivation" in text
    evidence = failed.findings[0].evidence
    place = ", ".join(map(str, evidence["index"]))
    assert f"dx[{place}] is {evidence['got']:.6g}, expected {evidence['expected']:.6g}, measured by" in text
    assert evidence["case"] == "plain: dy (3, 5), x (3, 4), w (5, 4)"
    assert f"wrong in 12 of 12 entries ({evidence['case']})" in " ".join(text.split())


def test_numbers_of_a_finding_are_from_one_of_its_calls():
    def overflows(x, *, beta=1.0, threshold=20.0):
        with np.errstate(over="ignore"):
            return np.log(1 + np.exp(beta * x)) / beta

    finding = examine("softplus_forward", overflows).findings[0]
    assert finding.kind == "non-finite"
    label, _, call = finding.evidence["case"].partition(": ")
    assert label in finding.evidence["seen_with"]
    assert call == "x (2, 3), beta=1.0, threshold=20.0"


def test_other_findings_on_the_same_result_stand_under_the_first(failed):
    text = str(failed)
    assert text.count("* dw:") == 1
    assert "\n    also: [not-summed]" in text
    assert text.index("* dw:") < text.index("also: [not-summed]")


def test_lines_stay_within_a_window(failed):
    long = Finding(Kind.UNKNOWN, "dx", "word " * 100, {}, "hint " * 100)
    for report in (failed, made(long, notes=["note " * 100])):
        assert max(map(len, report.text().splitlines())) <= 110


def test_a_remark_gives_no_hint():
    text = str(made(REMARK))
    assert "[raises] it refuses this" in text
    assert "Nothing to do" not in text


def test_notes_stand_at_the_end():
    assert str(made(MISTAKE, notes=["not examined: groups"])).splitlines()[-1] == "- not examined: groups"


def test_what_is_not_written_yet_is_not_counted():
    text = str(made(UNWRITTEN, tallies={"y": Tally(0, 1)}))
    assert "calls" not in text
    assert "it is not written yet" in text


def test_a_number_without_axes_is_named_without_an_index():
    evidence = {"index": (), "got": 2.0, "expected": 1.0, "wrong": 1, "entries": 1, "case": "plain"}
    text = str(made(Finding(Kind.SCALE, "loss", "it is 2 times what it should be", evidence)))
    assert "loss is 2, expected 1; wrong in 1 of 1 entries (plain)" in text


def test_there_is_no_colour_unless_asked_for(failed):
    for report in (failed, made(TIE), made(UNWRITTEN), made(REMARK), examine("relu_forward", ops.relu_forward)):
        assert ESCAPE not in str(report)
        assert ESCAPE not in repr(report)
        assert ESCAPE not in report.text()


@pytest.mark.parametrize(
    ("report", "painted"),
    [
        (made(), "\033[32mok\033[0m"),
        (made(MISTAKE), "\033[31mFAILED\033[0m"),
        (made(TIE), "\033[33mUNDECIDED\033[0m"),
        (made(UNWRITTEN), "\033[33mNOT WRITTEN YET\033[0m"),
        (made(MISTAKE), "[\033[31msign\033[0m]"),
        (made(REMARK), "[\033[33mraises\033[0m]"),
        (made(tallies={"y": Tally(2, 2)}), "\033[32mright\033[0m in all 2"),
        (made(MISTAKE, tallies={"y": Tally(1, 2)}), "\033[31mwrong\033[0m in 1 of 2"),
    ],
)
def test_colours_are_those_of_a_traffic_light(report, painted):
    assert painted in report.text(color=True)


def test_colours_change_nothing_but_colour(failed):
    plain = re.sub(r"\033\[\d+m", "", failed.text(color=True))
    assert " ".join(plain.split()) == " ".join(failed.text().split())


def test_a_gradient_check_prints_a_table_of_its_tensors():
    report = mc.gradcheck(nn.Linear(3, 2), np.random.default_rng(0).normal(size=(4, 3)))
    lines = str(report).splitlines()
    assert lines[0].startswith("gradcheck of Linear(")
    assert lines[1].split() == (
        "tensor shape compared on kinks worst entry backward differences relative error".split()
    )
    assert [line.split()[0] for line in lines[2:]] == ["x", "weight", "bias"]
    assert "12 of 12" in lines[2]


def test_a_tensor_that_could_not_be_compared_has_a_row_all_the_same():
    nothing = TensorCheck("x", (3,), 0, 3, 0, None, math.nan, math.nan, math.nan)
    assert str(made(TIE, tensors=[nothing])).splitlines()[2].split() == "x (3,) 0 of 3 3 - - - -".split()


# As a program reads it


def no_constants(name):
    raise AssertionError(f"{name} is no JSON")


def parsed(report):
    return json.loads(report.to_json(), parse_constant=no_constants)


def test_json_holds_everything(failed):
    record = parsed(failed)
    assert list(record) == ["check", "subject", "ok", "findings", "tallies", "tensors", "notes"]
    assert record["check"] == "examine"
    assert record["subject"] == "wrong_in_two_ways as linear_backward"
    assert record["ok"] is False
    assert record["tallies"]["dx"] == {"right": 0, "tried": 5}
    first = record["findings"][0]
    assert list(first) == ["kind", "where", "message", "evidence", "hint", "remark"]
    assert (first["kind"], first["where"], first["remark"]) == ("sign", "dx", False)
    assert first["evidence"]["index"] == list(failed.findings[0].evidence["index"])
    assert {f["kind"] for f in record["findings"]} <= {str(kind) for kind in Kind}


def test_numbers_and_arrays_of_numpy_become_plain_ones():
    evidence = {
        "index": (np.int64(1), 2),
        "count": np.int32(3),
        "flag": np.bool_(True),
        "array": np.arange(4).reshape(2, 2),
        "nothing": None,
        (1, 2): "a key that is no text",
    }
    (finding,) = parsed(made(Finding(Kind.SIGN, "dx", "", evidence)))["findings"]
    assert finding["evidence"] == {
        "index": [1, 2],
        "count": 3,
        "flag": True,
        "array": [[0, 1], [2, 3]],
        "nothing": None,
        "(1, 2)": "a key that is no text",
    }


def test_nan_and_infinity_are_text():
    values = [math.nan, math.inf, -math.inf, np.float64("nan"), np.array([np.inf])]
    tensor = TensorCheck("x", (3,), 0, 3, 0, None, math.nan, math.nan, math.nan)
    record = parsed(made(Finding(Kind.NON_FINITE, "dx", "", {"values": values}), tensors=[tensor]))
    assert record["findings"][0]["evidence"]["values"] == ["nan", "inf", "-inf", "nan", ["inf"]]
    assert record["tensors"][0]["relative_error"] == "nan"


@pytest.mark.parametrize(
    "function",
    [
        lambda dy, x, w: None,
        lambda dy, x, w: 1 / 0,
        lambda dy, x, w: (dy * np.nan, x, w),
        lambda dy, x, w: (dy / 0, "text", None),
        lambda dy, x, w: (w, x, dy),
        lambda: 0,
    ],
)
def test_every_report_can_be_written_down(function):
    report = examine("linear_backward", function)
    assert parsed(report)["ok"] is False
    assert str(report)
    report.plot()


def test_a_gradient_check_can_be_written_down():
    record = parsed(mc.gradcheck(nn.MaxPool2d(2), np.ones((1, 1, 4, 4))))
    assert record["check"] == "gradcheck"
    assert record["ok"] is False
    assert record["findings"][0]["kind"] == "ties"
    assert record["tensors"][0]["shape"] == [1, 1, 4, 4]


# As a figure


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def compared(**arrays):
    return made(MISTAKE, comparisons=arrays)


def test_each_wrong_result_has_a_row(failed):
    figure = failed.plot()
    assert titles(figure) == [
        "dx expected (3, 4)",
        "dx got (3, 4)",
        "got - expected",
        "dw expected (5, 4)",
        "dw got (5, 4)",
        "got - expected",
    ]
    assert "linear_backward" in figure.get_suptitle()


def test_all_three_images_of_a_row_share_their_colours(failed):
    images = [axis.images[0] for axis in failed.plot().axes[:3]]
    assert len({image.get_clim() for image in images}) == 1
    low, high = images[0].get_clim()
    assert low == -high


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (2, 1, 2, 3, 2), (1, 1, 1, 1)])
def test_any_shape_can_be_drawn(shape, tmp_path):
    expected = np.arange(math.prod(shape), dtype=float).reshape(shape)
    figure = compared(dx=(expected, expected + 1)).plot()
    assert titles(figure) == [f"dx expected {shape}", f"dx got {shape}", "got - expected"]
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_an_image_shows_rows_of_samples_and_columns_of_channels():
    expected = np.arange(2 * 3 * 2 * 2, dtype=float).reshape(2, 3, 2, 2)
    image = compared(y=(expected, expected)).plot().axes[0].images[0].get_array()
    assert image.shape == (5, 8)
    np.testing.assert_array_equal(image[:2, :2], expected[0, 0])
    np.testing.assert_array_equal(image[3:, 6:], expected[1, 2])
    assert np.ma.getmaskarray(image)[2].all()  # the gap


def test_shapes_that_differ_are_shown_side_by_side(tmp_path):
    figure = compared(dx=(np.ones((2, 3)), np.ones((3, 2))), db=(np.ones(3), np.ones((2, 3, 1, 1)))).plot()
    assert titles(figure) == ["dx expected (2, 3)", "dx got (3, 2)", "db expected (3,)", "db got (2, 3, 1, 1)"]
    words = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert words == ["the shapes differ"] * 2
    figure.savefig(tmp_path / "figure.png")


def test_a_result_without_entries_can_be_drawn(tmp_path):
    figure = compared(y=(np.ones((2, 3)), np.zeros((0, 3)))).plot()
    assert titles(figure) == ["y expected (2, 3)", "y got (0, 3)"]
    figure.savefig(tmp_path / "figure.png")


def test_masks_and_what_is_not_finite_can_be_drawn(tmp_path):
    mask = np.array([[True, False], [False, True]])
    figure = compared(mask=(mask, ~mask), y=(np.ones(3), np.array([np.nan, np.inf, 1.0]))).plot()
    assert len(titles(figure)) == 6
    figure.savefig(tmp_path / "figure.png")


def test_a_mask_that_is_wrong_comes_with_its_figure():
    def inverted(x, *, p, key):
        y, mask = ops.dropout_forward.body(x, p=p, key=key)
        return y, ~mask

    assert "mask got (4, 6)" in titles(examine("dropout_forward", inverted).plot())


@pytest.mark.parametrize(
    ("report", "words"),
    [(made(), "nothing is wrong"), (made(UNWRITTEN), "there is nothing to compare")],
)
def test_without_anything_to_compare_the_figure_says_so(report, words):
    figure = report.plot()
    assert not figure.axes
    assert words in [text.get_text() for text in figure.texts]


def test_a_gradient_check_draws_what_it_measured():
    x = np.random.default_rng(0).normal(size=(3, 4))
    report = mc.gradcheck(np.sin, x, backward=lambda dy, x: -dy * np.cos(x))
    assert titles(report.plot()) == ["x expected (3, 4)", "x got (3, 4)", "got - expected"]
