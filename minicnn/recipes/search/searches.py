"""Three searches for good settings: all combinations, random ones, and random ones of which the worse half goes."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError, whole_number
from minicnn.optim.monitor import Mode
from minicnn.recipes.search.common import Make, Search
from minicnn.recipes.search.folder import SearchFolder
from minicnn.recipes.search.result import SearchResult
from minicnn.recipes.search.running import Task
from minicnn.recipes.search.space import draw, grid
from minicnn.recipes.search.trial import Trial
from minicnn.train import Callback


def random_search(
    make: Make,
    space: Mapping[str, Any],
    data: Any,
    *,
    trials: int = 20,
    epochs: int = 1,
    batch_size: int = 32,
    monitor: str = "val_accuracy",
    mode: Mode = "auto",
    at: str = "last",
    repeats: int = 1,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    jobs: int = 1,
    threads: int = 1,
    verbose: bool = True,
) -> SearchResult:
    """Train with settings drawn at random, and see which do best on the validation data.

    Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012: where only a few of the settings
    matter, and one does not know which, n random trials try n values of each, and a grid only a few.

        def make(*, lr, width):
            model = nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 10))
            return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr))

        space = {"lr": loguniform(1e-4, 1e-1), "width": choice(8, 16, 32)}
        result = random_search(make, space, digits, trials=20, epochs=5, folder="runs/search", jobs=2)
        print(result)
        mc.seed(result.best.seed)                   # trains the best one again, for longer
        trainer = make(**result.best.make_settings)

    Every trial is `make(**settings)` and `fit` under a seed of its own. Its settings and its seed depend on `seed`, the
    settings' names and the number of the trial alone; so the first 20 of 50 trials are those of a search of 20.

    Parameters
    ----------
    make : function (**settings) -> Trainer
        Builds model and trainer. Settings called "epochs" and "batch_size" go to `fit` instead.
    space : dict of str to values
        For each setting a list of values, or one of `choice`, `integers`, `uniform` and `loguniform`.
    data : Splits or pair (train, validation)
        What is learned from and measured on. A trial gets these two parts, and never the test set.
    trials : int
        How many settings are tried.
    epochs, batch_size : int
        How each is trained.
    monitor : str
        What the score is: a name in the trainings' history.
    mode : "auto", "min" or "max"
        Whether small or large is good; "auto" means small for names that end in "loss" or "error", large for others.
    at : "last" or "best"
        Which epoch's value counts. The best one's looks better than it is the more, the more epochs there are.
    repeats : int
        Trainings for each trial, under different seeds; the score is their mean.
    seed : int
        Of the search.
    callbacks : sequence of Callback
        For `fit`; each training gets a copy of its own.
    folder : path, optional
        Where the trials are recorded. A search that was killed goes on when called again in the same way: what is done
        is not repeated, and the result is the same. It may then have more trials. The folder knows the settings and the
        data, but not what `make` does: after changing it, take another folder.
    jobs : int
        Trials at a time, each in a process of its own; -1 is one for each processor. Through joblib, so that
        `with joblib.parallel_config("dask"): random_search(..., jobs=-1)` uses the workers of a cluster, after
        `client = dask.distributed.Client(address)`.
    threads : int
        Threads of each trial's kernels. With one, as many trials as there are processors do not disturb each other.
        The number decides on the last bits of the results, while `jobs` does not.
    verbose : bool
        Show a progress bar, where there is a terminal.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, `make` does not take the settings, nothing of the name `monitor` is measured, all
        trials fail, or the folder holds another search.
    DataError
        If the data are none, or hold a sealed test set where training or validation data belong.
    CheckpointError, OutputError
        If the folder cannot be read, or not be written to.

    A trial that fails (of a NaN, of an exception in `make`) is recorded as such, and the search goes on.
    """
    search = Search.of(make, space, data, monitor, mode, at, epochs, batch_size, repeats, seed, callbacks, threads)
    count = whole_number("trials", trials)
    planned = search.planned([draw(search.space, search.seed, number) for number in range(count)])
    plan = {"search": "random_search", "trials": count, **search.plan()}
    kept = SearchFolder(folder, plan, may_grow=True)
    return search.result(search.all_at_once(planned, kept, jobs, verbose))


def grid_search(
    make: Make,
    space: Mapping[str, Any],
    data: Any,
    *,
    epochs: int = 1,
    batch_size: int = 32,
    monitor: str = "val_accuracy",
    mode: Mode = "auto",
    at: str = "last",
    repeats: int = 1,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    jobs: int = 1,
    threads: int = 1,
    verbose: bool = True,
) -> SearchResult:
    """Train with all combinations of the settings' values, in the order of nested loops: the last changes fastest.

        result = grid_search(make, {"lr": [1e-3, 1e-2], "width": [8, 16, 32]}, digits, epochs=5)   # six trials

    Parameters and errors are those of `random_search`, except that there are as many trials as combinations, and
    `uniform` and `loguniform` raise `ArgumentError`: they have too many values to try them all.
    """
    search = Search.of(make, space, data, monitor, mode, at, epochs, batch_size, repeats, seed, callbacks, threads)
    planned = search.planned(grid(search.space))
    kept = SearchFolder(folder, {"search": "grid_search", **search.plan()})
    return search.result(search.all_at_once(planned, kept, jobs, verbose))


def successive_halving(
    make: Make,
    space: Mapping[str, Any],
    data: Any,
    *,
    trials: int = 16,
    epochs: int = 8,
    factor: int = 2,
    batch_size: int = 32,
    monitor: str = "val_accuracy",
    mode: Mode = "auto",
    at: str = "last",
    repeats: int = 1,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    jobs: int = 1,
    threads: int = 1,
    verbose: bool = True,
) -> SearchResult:
    """Train many random settings for a short while, and only the better ones of them for longer, rung after rung.

    Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016, figure 3;
    with a factor other than 2 as in Li et al., "Hyperband", 2018, algorithm 1. With 16 trials, 8 epochs and factor 2
    (`rungs_of(16, 8, 2)`):

        rung      1    2    3    4
        trials   16    8    4    2
        epochs    1    2    4    8     in all; each rung goes on from the checkpoint of the one before

    Settings and seeds are those of `random_search` with the same `seed`, and the training of a trial that survives is
    the same as there, to the bit.

    Parameters
    ----------
    trials : int
        How many settings begin.
    epochs : int
        For how long those in the last rung are trained, in all.
    factor : int
        From rung to rung so many times fewer trials are trained for so many times as long, rounded down; at least 2.

    The other parameters and the errors are those of `random_search`; "epochs" cannot be a setting here, and a search in
    a folder cannot have more trials later. The folder keeps a checkpoint of each training; workers on other machines
    have to see it under the same path. Callbacks that keep a state go on with it from rung to rung. `trial.rungs` holds
    the scores at the rungs that a trial reached, and the best trial is the best of the last rung.
    """
    search = Search.of(make, space, data, monitor, mode, at, epochs, batch_size, repeats, seed, callbacks, threads)
    count = whole_number("trials", trials)
    factor = whole_number("factor", factor, least=2)
    if "epochs" in search.space:
        raise ArgumentError("successive_halving decides on the epochs itself; take 'epochs' out of the space")
    planned = search.planned([draw(search.space, search.seed, number) for number in range(count)])
    rungs = rungs_of(count, search.study.epochs, factor)
    plan = {"search": "successive_halving", "trials": count, "factor": factor, **search.plan()}
    kept = SearchFolder(folder, plan)
    with _checkpoints(kept) as checkpoints, search.progress(sum(size for size, _ in rungs), verbose) as bar:
        every, racing = kept.recall(planned), list(range(count))
        for rung, (size, length) in enumerate(rungs):
            if rung > 0:
                racing = survivors([every[number] for number in racing], rung, size, search.study.small_is_good)
            tasks = [
                Task(every[number], length, str(checkpoints / f"trial-{number:04d}"))
                for number in racing
                if len(every[number].rungs) == rung and not every[number].failed
            ]
            search.run(tasks, every, kept, jobs, bar)
            search.check_that_some_succeeded(every, kept)
    return search.result(every)


def rungs_of(trials: int, epochs: int, factor: int) -> list[tuple[int, int]]:
    """Return for each rung of successive halving how many trials are trained, and up to how many epochs.

    There are ceil(log_factor(trials)) rungs, so that the last one decides between at most `factor` trials; fewer where
    the first would have less than an epoch.
    """
    lengths = [epochs]
    while factor ** len(lengths) < trials and lengths[0] >= factor:
        lengths.insert(0, lengths[0] // factor)
    return [(max(1, trials // factor**rung), length) for rung, length in enumerate(lengths)]


def survivors(trials: Sequence[Trial], rung: int, size: int, small_is_good: bool) -> list[int]:
    """Return the numbers of the `size` best trials that the first `rung` rungs leave, in order.

    Scores of later rungs, which the records of a resumed search hold already, have no say in it.
    """
    sign = 1 if small_is_good else -1
    left = [trial for trial in trials if len(trial.rungs) >= rung]
    best = sorted(left, key=lambda trial: (sign * trial.rungs[rung - 1], trial.number))[:size]
    return sorted(trial.number for trial in best)


@contextmanager
def _checkpoints(kept: SearchFolder) -> Iterator[Path]:
    """Yield where checkpoints are kept: the search's folder, or one that is thrown away."""
    if kept.path is not None:
        yield kept.path
        return
    with tempfile.TemporaryDirectory(prefix="minicnn-search-") as folder:
        yield Path(folder)
