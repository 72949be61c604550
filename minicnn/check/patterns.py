"""Which argument decides between right and wrong: right for stride 1, wrong for stride 2."""

from collections.abc import Callable, Sequence

import numpy as np

from minicnn.check.case import Case, reference
from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation
from minicnn.check.report import Finding

NEUTRAL = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
"""Values with which forgetting the argument does no harm."""


def ignored_arguments(name: str, candidate: Candidate, seen: Sequence[tuple[Observation, bool]]) -> list[Finding]:
    """Name the options whose usual value is handled right and whose other values are not.

    `seen` are observations with whether the result was right. An option is named if calls that differ from the plain
    one in this option alone went wrong, while the calls that leave all options alone went right.
    """

    def away_from_default(case: Case) -> set[str]:
        return {o for o in case.options if candidate.has_default(o) and not candidate.is_default(case, o)}

    def away_from_neutral(case: Case) -> set[str]:
        # A pooling's stride is its kernel's size unless given, so that the default is not the neutral value.
        known = {o: v for o, v in case.options.items() if o in NEUTRAL}
        if known.get("stride", 0) is None:
            known["stride"] = case.options["kernel"]
        return {o for o, v in known.items() if v != NEUTRAL[o]}

    tried = [(o, right) for o, right in seen if not o.case.tied]
    return _findings(candidate, name, tried, away_from_default) or _findings(candidate, name, tried, away_from_neutral)


def _findings(
    candidate: Candidate,
    name: str,
    seen: Sequence[tuple[Observation, bool]],
    away_from_plain: Callable[[Case], set[str]],
) -> list[Finding]:
    away = [(away_from_plain(o.case), o, right) for o, right in seen]
    plain = [right for options, _, right in away if not options]
    if not plain or not all(plain):
        return []
    findings = []
    for option in dict.fromkeys(option for options, _, _ in away for option in sorted(options)):
        alone = [(o, right) for options, o, right in away if options == {option}]
        wrong = [o for o, right in alone if not right]
        if not wrong:
            continue
        message = f"right where {option} makes no difference, wrong for {_values(option, wrong)}"
        fine = [o for o, right in alone if right]
        if fine:
            message += f" (but right for {_values(option, fine)})"
        evidence = {"argument": option, "seen_with": [o.case.label for o in wrong]}
        rank = _rank(candidate, name, option, wrong)
        hint = f"In which lines of your function does {option} appear, and in which should it?"
        findings.append(Finding(Kind.IGNORES_ARGUMENT, name, message, evidence, hint, rank=rank))
    return findings


def _rank(candidate: Candidate, name: str, option: str, wrong: Sequence[Observation]) -> float:
    """Say how telling it is: an option that decided over the shape was not ignored, only used in a wrong way."""
    ignored = Kind.IGNORES_ARGUMENT.rank + 0.5
    first = next((o for o in wrong if np.shape(o.results[name]) != np.shape(o.examination.expected[name])), None)
    if first is not None:
        without = _shape_without(candidate, name, option, first.case)
        return ignored if without == np.shape(first.results[name]) else Kind.SHAPE.rank + 0.5
    if option == "padding" and name in ("y", "cols", "argmax"):
        return Kind.FORWARD_DIFFERS.rank + 0.5
    return ignored


def _shape_without(candidate: Candidate, name: str, option: str, case: Case) -> tuple[int, ...] | None:
    """Return the shape that the result would have if the option were not there; None if that makes no sense."""
    try:
        return np.shape(reference(candidate.operation, case.changed({option: NEUTRAL[option]}))[name])
    except (KeyError, ValueError, TypeError):
        return None


def only_squares(name: str, seen: Sequence[tuple[Observation, bool]]) -> list[Finding]:
    """Say so if everything is right for square kernels, or images, and wrong for all others."""
    for what, shape_of in (("kernels", _kernel), ("images", _image)):
        square: list[bool] = []
        others: list[bool] = []
        wrong: list[Observation] = []
        for o, right in seen:
            shape = shape_of(o.case)
            if o.case.tied or shape is None:
                continue
            (square if shape[0] == shape[1] else others).append(right)
            if shape[0] != shape[1] and not right:
                wrong.append(o)
                if o.results[name].shape != np.shape(o.examination.expected[name]):
                    return []
        if len(square) > 1 and all(square) and len(wrong) > 1 and 2 * len(wrong) >= len(others):
            message = f"right for square {what}, wrong for others: height and width are mixed up"
            evidence = {"seen_with": [o.case.label for o in wrong]}
            rank = Kind.TRANSPOSED.rank + 0.5
            return [Finding(Kind.TRANSPOSED, name, message, evidence, Kind.TRANSPOSED.hint, rank=rank)]
    return []


def _kernel(case: Case) -> tuple[int, ...] | None:
    if "kernel" in case.options:
        return case.options["kernel"]
    return case.args["w"].shape[2:] if np.ndim(case.args.get("w", 0)) == 4 else None


def _image(case: Case) -> tuple[int, ...] | None:
    if "shape" in case.options:
        return case.options["shape"][2:]
    return case.args["x"].shape[2:] if np.ndim(case.args.get("x", 0)) == 4 else None


def _values(option: str, seen: Sequence[Observation]) -> str:
    values = (o.case.options[option] for o in seen)
    return ", ".join(dict.fromkeys(f"{option}={'the kernel' if v is None else v}" for v in values))
