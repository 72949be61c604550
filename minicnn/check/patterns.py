"""Which argument decides between right and wrong: right for stride 1, wrong for stride 2."""

from collections.abc import Sequence

from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation
from minicnn.check.report import Finding


def ignored_arguments(name: str, candidate: Candidate, seen: Sequence[tuple[Observation, bool]]) -> list[Finding]:
    """Name the options whose default is handled right and whose other values are not.

    `seen` are observations with whether the result was right. An option is named if every call that differs from the
    plain one in this option alone went wrong, while the calls that leave all options alone went right.
    """
    away = [(_away(candidate, o), o, right) for o, right in seen if not o.case.tied]
    plain = [right for options, _, right in away if not options]
    if not plain or not all(plain):
        return []
    findings = []
    for option in dict.fromkeys(option for options, _, _ in away for option in options):
        alone = [(o, right) for options, o, right in away if options == {option}]
        wrong = [o for o, right in alone if not right]
        if not wrong:
            continue
        values = ", ".join(dict.fromkeys(f"{o.case.options[option]}" for o in wrong))
        usual = candidate.default(option)
        message = f"right for {option}={usual}, wrong for {option}={values}"
        fine = [f"{o.case.options[option]}" for o, right in alone if right]
        if fine:
            message += f" (but right for {', '.join(dict.fromkeys(fine))})"
        evidence = {
            "argument": option,
            "seen_with": [o.case.label for o in wrong],
            "rank": Kind.IGNORES_ARGUMENT.rank + 0.5,
        }
        hint = f"In which lines of your function does {option} appear, and in which should it?"
        findings.append(Finding(Kind.IGNORES_ARGUMENT, name, message, evidence, hint))
    return findings


def _away(candidate: Candidate, seen: Observation) -> set[str]:
    """Return the options of a call that are not at their defaults."""
    case = seen.case
    return {name for name in case.options if candidate.has_default(name) and not candidate.is_default(case, name)}
