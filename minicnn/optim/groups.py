"""Parameters by name, and groups of them that are trained by settings of their own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from minicnn.errors import ArgumentError, listed
from minicnn.nn import Parameter
from minicnn.nn.parameter import Parameters

ParametersLike: TypeAlias = Iterable[Parameter] | Iterable[tuple[str, Parameter]] | Mapping[str, Parameter]
GroupsLike: TypeAlias = ParametersLike | Iterable[Mapping[str, Any]]


class Setting:
    """A hyper-parameter as an attribute of the optimizer: `optimizer.lr`.

    Reading it gives the first group's. Setting it sets it for all groups, unless they have values of their own: then
    `optimizer.lr = 0.1` and `optimizer.lr /= 2` cannot both mean what they say, and an `ArgumentError` is raised.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        return self if optimizer is None else optimizer.param_groups[0][self.name]

    def __set__(self, optimizer: Any, value: Any) -> None:
        values = [group[self.name] for group in optimizer.param_groups]
        if any(other != values[0] for other in values):
            raise ArgumentError(
                f"the groups of parameters have values of their own for {self.name}, {values}; "
                f"set each: optimizer.param_groups[0][{self.name!r}] = ..."
            )
        for group in optimizer.param_groups:
            group[self.name] = value


def make_groups(kind: str, given: GroupsLike, defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return groups {"params": Parameters, setting: value, ...}, in which every parameter has a name of its own.

    Parameters given without groups are one group. Where two groups have parameters of the same name, as those of two
    parts of a model do, all names get the number of their group before them: "0.weight", "1.weight".

    Raises
    ------
    ArgumentError
        If there are no parameters or something else among them, a group has an unknown setting, or one parameter comes
        twice. `kind` is the optimizer's name, for the message.
    """
    if isinstance(given, Mapping) and "params" in given:
        raise ArgumentError(f"{kind}: a group of parameters goes into a list: [{{'params': ..., 'lr': ...}}, ...]")
    items = given if hasattr(given, "names") or isinstance(given, Mapping | Parameter) else list(given)
    if not (isinstance(items, list) and any(isinstance(item, Mapping) for item in items)):
        items = [{"params": items}]
    groups = [_group(kind, number, item, defaults) for number, item in enumerate(items)]
    groups_of: dict[int, int] = {}
    for number, group in enumerate(groups):
        for name, parameter in group["params"].items():
            if id(parameter) in groups_of:
                raise ArgumentError(
                    f"the parameter {name!r} of group {number} is in group {groups_of[id(parameter)]} as well, "
                    "so each step would move it twice"
                )
        groups_of |= {id(parameter): number for parameter in group["params"].values()}
    names = [name for group in groups for name in group["params"]]
    clash = len(set(names)) < len(names)
    for number, group in enumerate(groups):
        named = {f"{number}.{name}" if clash else name: parameter for name, parameter in group["params"].items()}
        group["params"] = Parameters(named)
    return groups


def _group(kind: str, number: int, item: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return one group, with the defaults for what it does not say, and its parameters by name."""
    if not isinstance(item, Mapping):
        raise ArgumentError(
            f"{kind}: entry {number} is a {type(item).__name__} among groups of parameters; "
            "give either parameters, or groups {'params': ...} alone"
        )
    if "params" not in item:
        raise ArgumentError(f"{kind}: group {number} has no 'params'; there are {listed(item)}")
    unknown = [key for key in item if key != "params" and key not in defaults]
    if unknown:
        raise ArgumentError(
            f"{kind}: group {number} has {listed(unknown)}, which {kind} does not know; "
            f"besides 'params' there are {listed(defaults)}"
        )
    named = _by_name(item["params"])
    if not named:
        which = f"{kind}, group {number}" if number else kind
        raise ArgumentError(f"{which} was given no parameters; pass model.parameters()")
    return {**defaults, **item, "params": named}


def _by_name(parameters: ParametersLike) -> dict[str, Parameter]:
    """Return parameters by name: their own, or else their number."""
    names = getattr(parameters, "names", None)
    if isinstance(parameters, Mapping):
        pairs = list(parameters.items())
    else:
        items = [parameters] if isinstance(parameters, Parameter) else list(parameters)
        pairs = [
            item if isinstance(item, tuple) else (names[i] if names else str(i), item) for i, item in enumerate(items)
        ]
    wrong = next((value for _, value in pairs if not isinstance(value, Parameter)), None)
    if wrong is not None:
        raise ArgumentError(f"an optimizer takes parameters, as from model.parameters(), not a {type(wrong).__name__}")
    if len({id(parameter) for _, parameter in pairs}) < len(pairs):
        raise ArgumentError("one parameter was given twice, so each step would move it twice")
    if len(dict(pairs)) < len(pairs):
        raise ArgumentError(
            "two parameters have the same name; for two models in one optimizer pass pairs of your own names: "
            "[('a.' + name, p) for name, p in a.named_parameters().items()] + ..., or a group for each"
        )
    return dict(pairs)


def describe(kind: str, groups: Sequence[Mapping[str, Any]]) -> str:
    """Return an optimizer as one would write it: `SGD(lr=0.1, momentum=0.9)`; what differs by group comes last."""
    differing = [name for name in groups[0] if any(group[name] != groups[0][name] for group in groups)]
    shared = [f"{name}={_short(value)}" for name, value in groups[0].items() if name not in differing]
    own = [", ".join(f"{name}={_short(group[name])}" for name in differing) for group in groups] if differing else []
    return f"{kind}({', '.join(shared)})" + (f" with groups {'; '.join(own)}" if own else "")


def _short(value: Any) -> str:
    """Return a number in as few digits as tell it, and pairs likewise."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return f"{value:.6g}" if type(value) is float else repr(value)
