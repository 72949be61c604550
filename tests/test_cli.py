"""The command line, as a person meets it: real processes, real folders, a real terminal."""

import csv
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

import minicnn as mc
from minicnn.cli import main


def minicnn(*arguments, cwd, **options):
    command = [sys.executable, "-m", "minicnn", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """`minicnn train` with no arguments at all."""
    folder = tmp_path_factory.mktemp("first")
    began = time.perf_counter()
    done = minicnn("train", cwd=folder)
    return folder, done, time.perf_counter() - began


@pytest.mark.alone
def test_the_first_command_learns_to_read_digits_in_under_a_minute(first_run):
    _, done, seconds = first_run
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"^test accuracy (0\.\d{4})$", done.stdout, re.MULTILINE)[1]) >= 0.97
    assert seconds < 60


def test_it_shows_summary_epochs_and_what_it_wrote(first_run):
    folder, done, _ = first_run
    assert "receptive field" in done.stdout
    assert len(re.findall(r"^epoch +\d+/30  loss .* val_accuracy ", done.stdout, re.MULTILINE)) == 30
    assert "the test set of 270 images was opened 1 time" in done.stdout
    for name in ("curves.png", "history.csv", "checkpoint.npz", "best.npz", "config.json", "result.json"):
        assert (folder / "runs/digits-basic-1" / name).stat().st_size > 0
        assert name in done.stdout


def test_it_is_quiet_on_the_error_stream_when_not_on_a_terminal(first_run):
    assert first_run[1].stderr == ""


def test_its_history_and_result_agree_with_what_it_said(first_run):
    folder, done, _ = first_run
    rows = list(csv.DictReader((folder / "runs/digits-basic-1/history.csv").read_text().splitlines()))
    assert len(rows) == 30
    assert f"epoch 30/30  loss {float(rows[-1]['loss']):.4f}" in done.stdout
    result = json.loads((folder / "runs/digits-basic-1/result.json").read_text())
    assert f"test accuracy {result['test']['accuracy']:.4f}" in done.stdout
    assert result["test_set_openings"] == ["evaluated after epoch 30"]


def test_its_checkpoint_can_be_used_in_a_script(first_run):
    folder = first_run[0]
    model = mc.models.create("basic", input_shape=(1, 8, 8), classes=10)
    trainer = mc.Trainer(model)
    mc.train.load_weights(model, folder / "runs/digits-basic-1/best.npz")
    splits = mc.data.normalise(mc.data.load("digits"))
    assert (trainer.predict_classes(splits.validation.x) == splits.validation.y).mean() > 0.95


def test_a_report_on_it_is_one_command(first_run, capsys):
    run = first_run[0] / "runs/digits-basic-1"
    kept = {name: (run / name).read_bytes() for name in ("checkpoint.npz", "result.json", "history.csv")}
    assert main(["report", str(run)]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    page, result = (run / "report.html").read_text(), json.loads((run / "result.json").read_text())
    assert "<title>basic on digits</title>" in page
    assert "1,200, in 30 epochs of 40 batches" in page
    assert "The test set was opened 1 time." in page
    right = float(re.search(r"the network classifies \d+ correctly \(([\d.]+)%\)", page)[1])
    assert right == pytest.approx(100 * mc.train.History(_rows(run))["val_accuracy"][-1], abs=0.06)
    assert result["test_set_openings"] == ["evaluated after epoch 30"]
    assert {name: (run / name).read_bytes() for name in kept} == kept


def _rows(run):
    return [
        {name: float(value) for name, value in row.items()}
        for row in csv.DictReader((run / "history.csv").read_text().splitlines())
    ]


def test_more_epochs_are_remembered_for_the_next_time(tmp_path):
    assert minicnn("train", "--epochs", 1, "--out", "run", cwd=tmp_path).returncode == 0
    assert minicnn("train", "--resume", "run", "--epochs", 2, cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["settings"]["epochs"] == 2
    assert "is complete; --epochs N with N above 2" in minicnn("train", "--resume", "run", cwd=tmp_path).stdout


def test_a_report_on_no_run_says_so(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "there is no run in" in capsys.readouterr().err


def test_a_second_run_gets_a_folder_of_its_own(first_run):
    folder = first_run[0]
    done = minicnn("train", "--epochs", 1, cwd=folder)
    assert done.returncode == 0
    assert (folder / "runs/digits-basic-2/checkpoint.npz").exists()


def test_all_options_are_obeyed(tmp_path):
    done = minicnn(
        *"train --dataset digits --model lenet --epochs 2 --batch-size 64 --lr 0.02 --optimizer sgd".split(),
        *f"--backend numpy --seed 3 --out {tmp_path / 'here'}".split(),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "on numpy, seed 3" in done.stdout
    assert "Linear(256, 128)" in done.stdout
    settings = json.loads((tmp_path / "here/config.json").read_text())["settings"]
    assert settings == {
        "dataset": "digits",
        "model": "lenet",
        "epochs": 2,
        "batch_size": 64,
        "lr": 0.02,
        "optimizer": "sgd",
        "backend": "numpy",
        "seed": 3,
        "data_root": None,
    }
    assert "0.02" in (tmp_path / "here/history.csv").read_text()


def test_curves_are_drawn_while_it_trains(tmp_path):
    """There is no display here, so they are in a file, which is there before the training ends."""
    environment = {n: v for n, v in os.environ.items() if n not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
    command = [sys.executable, "-u", "-m", "minicnn", "train", "--epochs", "40", "--out", "run", "--plot"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        curves, drawn, said = tmp_path / "run" / "curves.png", set(), []
        for line in process.stdout:
            said.append(line)
            if line.startswith("epoch") and curves.exists():
                drawn.add(curves.read_bytes())
            if len(drawn) == 2:
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate(timeout=60)
    assert "the learning curves are drawn after every epoch in run/curves.png: there is no window here\n" in said
    assert all(picture.startswith(b"\x89PNG") for picture in drawn)
    assert len(drawn) == 2
    assert "interrupted" in errors


def test_the_same_seed_gives_the_same_bits_and_another_other_ones(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert minicnn("train", "--epochs", 2, "--seed", seed, "--out", name, cwd=tmp_path).returncode == 0
    a, b, c = ((tmp_path / name / "checkpoint.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_longer_run_is_a_run_that_goes_on(tmp_path):
    minicnn("train", "--epochs", 3, "--out", "whole", cwd=tmp_path)
    minicnn("train", "--epochs", 1, "--out", "pieces", cwd=tmp_path)
    done = minicnn("train", "--resume", "pieces", "--epochs", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "opened 2 times" in done.stdout  # once at the end of each piece: the record does not forget
    with np.load(tmp_path / "whole/checkpoint.npz") as whole, np.load(tmp_path / "pieces/checkpoint.npz") as pieces:
        assert all(np.array_equal(whole[name], pieces[name]) for name in whole.files if name != "meta")


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "minicnn", "train", "--epochs", "500", "--out", "run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch   2/500"):
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "minicnn train --resume run" in stderr
    assert "Traceback" not in stderr
    done = minicnn("train", "--resume", "run", "--epochs", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "epoch 4/4" in done.stdout


def test_a_terminal_gets_a_bar(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 140))
    process = subprocess.Popen(
        [sys.executable, "-m", "minicnn", "train", "--epochs", "2", "--out", "run"],
        cwd=tmp_path,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert re.search(
        r"epoch 2/2 \|█{10}\| .* images/s 00:00 left, loss [\d.]+ accuracy [\d.]+ val_loss .* val_accuracy", text
    )


# What cannot be done is said in one line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--dataset digts", "there is no data set 'digts'; the data sets are 'digits', 'mnist'"),
        ("--model resnet", "there is no model 'resnet'; the models are 'basic', 'lenet'"),
        ("--model unet", "this command trains classifiers, and 'unet' answers with an image; from Python, mc.Trainer"),
        ("--model autoencoder", "and 'autoencoder' answers with an image"),
        ("--model vgg16", "vgg16: input_shape must be (C, H, W) with sides of at least 32 pixels, not (1, 8, 8)"),
        ("--backend cuda", "there is no backend 'cuda'"),
        ("--epochs 0", "epochs must be a whole number of at least 1"),
        ("--batch-size 0", "batch_size must be a whole number of at least 1"),
        ("--lr -1", "lr must be at least 0"),
        ("--seed -1", "seed must be a whole number from 0"),
        ("--dataset mnist --data-root nowhere", "is neither in nowhere nor in"),
        ("--resume nowhere", "there is no run in nowhere"),
    ],
)
def test_bad_arguments_are_told_in_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments.split()]) == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("minicnn: error: ")
    assert words in stderr
    assert stderr.count("\n") == 1


def test_the_folder_of_a_script_is_told_from_none(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("`minicnn train` leaves config.json there\n")
    (tmp_path / "checkpoint.npz").touch()
    assert main(["report", str(tmp_path)]) == 1
    assert "a script of your own" in capsys.readouterr().err


def test_a_diverging_training_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["train", "--model", "lenet", "--optimizer", "sgd", "--lr", "1e9", "--epochs", "1", "--out", "run"]) == 1
    )
    assert re.search(r"epoch 1, batch \d+: .*(layer|gradient|loss)", capsys.readouterr().err)


def test_an_unwritable_folder_is_refused_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert main(["train", "--out", "file/run"]) == 1
    assert "cannot write to the folder file/run" in capsys.readouterr().err


def test_a_folder_with_a_run_is_not_overwritten(first_run, capsys):
    folder = first_run[0] / "runs/digits-basic-1"
    before = (folder / "checkpoint.npz").read_bytes()
    assert main(["train", "--out", str(folder)]) == 1
    assert f"--resume {folder} goes on with it" in capsys.readouterr().err
    assert (folder / "checkpoint.npz").read_bytes() == before


def test_a_run_that_goes_on_keeps_its_settings(first_run, capsys):
    assert main(["train", "--resume", str(first_run[0] / "runs/digits-basic-1"), "--lr", "1"]) == 1
    assert "--lr: a run that goes on keeps its settings" in capsys.readouterr().err


def test_a_complete_run_is_not_tested_again(first_run, capsys):
    folder = first_run[0] / "runs/digits-basic-1"
    before = (folder / "checkpoint.npz").read_bytes()
    assert main(["train", "--resume", str(folder / "checkpoint.npz")]) == 0
    assert "is complete" in capsys.readouterr().out
    assert (folder / "checkpoint.npz").read_bytes() == before


def test_nothing_is_left_behind_by_settings_that_make_no_sense(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main("train --epochs 0".split()) == 1
    assert not list(tmp_path.iterdir())


def test_out_and_resume_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--out", "a", "--resume", "b"])
    assert "not allowed with" in capsys.readouterr().err


# info


def test_info_shows_versions_and_backends(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert f"minicnn {mc.__version__}, Python 3." in out
    assert re.search(r"numpy +\d+\.", out)
    assert re.search(r"numpy +ready", out)
    for name in ("numba", "cupy"):
        assert re.search(rf"{name} +(ready|cannot run: .*(pip install|nvidia-smi))", out)
    assert "digits, mnist" in out


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    out = capsys.readouterr().out
    assert "usage: minicnn" in out
    assert "train a network and test it" in out


def test_both_ways_to_call_it_are_the_same():
    script = subprocess.run(["minicnn", "--version"], capture_output=True, text=True)
    module = subprocess.run([sys.executable, "-m", "minicnn", "--version"], capture_output=True, text=True)
    assert script.stdout == module.stdout == f"minicnn {mc.__version__}\n"
