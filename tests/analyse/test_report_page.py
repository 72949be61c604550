"""The report in a real browser: what it recounts is what `metrics` says, and nothing goes wrong in the console."""

import json
import re

import numpy as np
import pytest
from browser import chromium

import minicnn as mc
from minicnn import metrics, nn
from minicnn.analyse import write_report
from minicnn.data import SealedDataset
from minicnn.errors import ArgumentError, DataError, OutputError


@pytest.fixture(scope="module")
def trainer(digits):
    mc.seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10))
    trainer = mc.Trainer(model)
    trainer.fit(digits.train.subset(np.arange(300)), validation=digits.validation, epochs=2, verbose=False)
    trainer.evaluate(SealedDataset(digits.validation.subset(np.arange(5))))
    return trainer


@pytest.fixture(scope="module")
def part(digits):
    return digits.validation.subset(np.arange(80))


@pytest.fixture(scope="module")
def path(trainer, part, tmp_path_factory):
    return write_report(trainer, part, tmp_path_factory.mktemp("report") / "report.html", title="A <first> report")


@pytest.fixture(scope="module")
def page(path):
    return path.read_text()


@pytest.fixture(scope="module")
def long_names(digits, tmp_path_factory):
    """The page of a model of 17 classes, of which 10 occur, with names that are longer than a column is wide."""
    mc.seed(0)
    part = digits.validation.subset(np.arange(40))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 17))
    names = [
        f"adenocarcinoma_of_the_{k}" if k % 2 else f"a class with a rather long name that goes on and on, number {k}"
        for k in range(17)
    ]
    return write_report(mc.Trainer(model), part, tmp_path_factory.mktemp("names") / "report.html", classes=names)


@pytest.fixture(scope="module")
def browser(path):
    with chromium(1100, 900, loggingPrefs={"browser": "ALL", "performance": "ALL"}) as driver:
        driver.get(path.as_uri())
        yield driver


def text(browser, name):
    return browser.find_element("id", name).text


class TestInTheBrowser:
    def test_moving_the_threshold_recounts_as_metrics_does(self, browser, trainer, part):
        from selenium.webdriver.common.keys import Keys
        from selenium.webdriver.support.select import Select

        p = np.round(trainer.predict_proba(part.x).astype(np.float64), 6)
        slider = browser.find_element("id", "threshold")
        for label, key, times in ((8, Keys.ARROW_LEFT, 250), (3, Keys.ARROW_LEFT, 100), (3, Keys.HOME, 1)):
            Select(browser.find_element("id", "class")).select_by_value(str(label))
            slider.send_keys(key * times)
            threshold = float(text(browser, "threshold-value"))
            assert threshold < 0.5
            truth, said = part.y == label, p[:, label] >= threshold
            (tn, fp), (fn, tp) = metrics.confusion_matrix(truth, said, labels=[False, True])
            assert [int(text(browser, name)) for name in ("tp", "fp", "fn", "tn")] == [tp, fp, fn, tn]
            for name, want in (
                ("sensitivity", metrics.recall_score(truth, said, zero_division=np.nan)),
                ("specificity", metrics.specificity_score(truth, said, zero_division=np.nan)),
                ("precision", metrics.precision_score(truth, said, zero_division=np.nan)),
                ("f1", metrics.f1_score(truth, said, zero_division=np.nan)),
            ):
                assert text(browser, name) == ("0 / 0" if np.isnan(want) else f"{want:.4f}")

    def test_the_curves_are_those_of_metrics(self, browser, trainer, part):
        from selenium.webdriver.support.select import Select

        Select(browser.find_element("id", "class")).select_by_value("5")
        p = np.round(trainer.predict_proba(part.x).astype(np.float64), 6)
        corners = np.array(browser.execute_script("return curves(5).roc"))
        fpr, tpr, _ = metrics.roc_curve(part.y == 5, p[:, 5], drop_intermediate=False)
        np.testing.assert_allclose(corners, np.stack([fpr, tpr], axis=1), atol=1e-12)
        corners = np.array(browser.execute_script("return curves(5).precisionRecall"))
        precision, recall, _ = metrics.precision_recall_curve(part.y == 5, p[:, 5])
        np.testing.assert_allclose(corners, np.stack([recall, precision], axis=1)[-2::-1], atol=1e-12)
        line = browser.find_element("css selector", "#roc .curve").get_attribute("points")
        assert len(line.split()) == len(fpr)

    def test_points_show_their_images_to_mouse_and_keyboard(self, browser, part):
        from selenium.webdriver.common.keys import Keys

        points = browser.find_elements("css selector", "#embedding circle")
        assert len(points) == len(part)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", points[0])
        points[0].send_keys(Keys.ARROW_RIGHT)
        tip = browser.find_element("class name", "tip")
        assert tip.is_displayed()
        assert tip.text == points[1].get_attribute("aria-label")
        assert browser.execute_script("return document.querySelector('.tip img').naturalWidth") == 8

    def test_colours_that_carry_white_letters_are_printed(self, browser):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        adjust = "return getComputedStyle(document.querySelector(arguments[0])).printColorAdjust"
        assert [browser.execute_script(adjust, chosen) for chosen in (".key span", "td.dark", "p")] == [
            "exact", "exact", "economy"
        ]  # fmt: skip
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

    def test_nothing_goes_wrong_and_nothing_is_asked_of_the_network(self, browser):
        assert browser.get_log("browser") == []
        asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        urls = [m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"]
        assert urls
        assert all(url.startswith(("file:", "data:")) for url in urls)


class TestOnSmallScreens:
    @pytest.fixture(params=["path", "long_names"])
    def narrow(self, browser, request, path):
        size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(request.getfixturevalue(request.param).as_uri())
        yield browser
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.get(path.as_uri())

    def test_nothing_sticks_out_and_drawings_stay_readable(self, narrow):
        assert narrow.execute_script("return document.documentElement.scrollWidth") == 400
        widths = "return [...document.querySelectorAll('.figure svg, #embedding')].map(svg => svg.clientWidth)"
        assert min(narrow.execute_script(widths)) > 600
        sticking_out = """return [...document.querySelectorAll('.gallery li, .card td, .controls label')]
            .filter(box => box.scrollWidth > box.clientWidth + 1 && box.clientWidth).length"""
        assert narrow.execute_script(sticking_out) == 0

    def test_rows_of_the_confusion_matrix_are_no_towers(self, narrow):
        heights = "return [...document.querySelectorAll('.confusion tbody tr')].map(row => row.offsetHeight)"
        assert max(narrow.execute_script(heights)) < 160


def test_long_names_are_numbers_where_there_is_little_room(long_names):
    page = long_names.read_text()
    assert '<table class="confusion many named">' in page
    assert '<th scope="col" title="adenocarcinoma_of_the_3">3</th>' in page
    assert '<th scope="row">adenocarcinoma_of_the_3 &nbsp;3</th>' in page


def test_short_names_stay_names(page):
    assert '<table class="confusion">' in page
    assert '<th scope="row">3</th>' in page


def sections_of(page):
    return re.findall(r'<section id="([^"]+)"', page)


def test_a_model_of_rows_of_numbers_has_no_pictures(digits, tmp_path):
    mc.seed(0)
    x, y = digits.validation.x[:40].reshape(40, -1), digits.validation.y[:40]
    trainer = mc.Trainer(nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)))
    trainer.fit((x, y), epochs=1, verbose=False)
    page = write_report(trainer, (x, y), tmp_path / "rows.html").read_text()
    assert sections_of(page) == ["card", "curves", "confusion", "operating", "test-set"]


def test_without_a_history_there_are_no_curves(long_names):
    assert sections_of(long_names.read_text()) == [
        "card", "confusion", "operating", "mistakes", "filters", "features", "test-set"
    ]  # fmt: skip


def test_without_validation_the_curves_are_those_of_training(digits, tmp_path):
    mc.seed(0)
    trainer = mc.Trainer(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    part = digits.train.subset(np.arange(3))
    trainer.fit(part, epochs=1, verbose=False)
    page = write_report(trainer, part, tmp_path / "few.html").read_text()
    assert sections_of(page) == ["card", "curves", "confusion", "operating", "mistakes", "test-set"]
    assert ">loss: training<" in page
    assert ">validation<" not in page


def test_the_threshold_begins_at_a_class_that_occurs(digits, tmp_path):
    mc.seed(0)
    trainer = mc.Trainer(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    y = np.argmax(trainer.predict_proba(digits.validation.x[:30]), axis=1)
    few = np.flatnonzero(y == y.max())  # all read rightly, all of one class
    assert y.max() > 0
    page = write_report(trainer, (digits.validation.x[few], y[few]), tmp_path / "one.html").read_text()
    assert f'<option value="{y.max()}" selected>' in page


def test_the_page_is_small_and_refers_to_nothing_outside(path, page):
    assert path.stat().st_size < 5e6
    addresses = set(re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", page))
    assert all(address.startswith("data:image/png;base64,") for address in addresses)


def test_the_page_says_what_the_card_says(page, trainer):
    for name, value in trainer.card().items():
        assert f'<th scope="row">{name}</th><td>{value.replace("&", "&amp;")}</td>' in page
    assert "The test set was opened 1 time." in page
    assert "evaluated after epoch 2" in page


def test_names_cannot_break_the_page(trainer, part, tmp_path):
    names = ["</script><b>", *"123456789"]
    page = write_report(trainer, part, tmp_path / "x.html", title="A <first> report", classes=names).read_text()
    assert "<title>A &lt;first&gt; report</title>" in page
    assert "<b>" not in page
    assert page.count("</script>") == 2


def test_mistakes_come_with_the_surest_first(page, trainer, part):
    p = trainer.predict_proba(part.x)
    wrong = p.argmax(axis=1) != part.y
    first = re.search(r"read as (\d) \((\d+)%\), is (\d)", page)
    assert int(first[2]) == round(100 * p[wrong].max())
    assert f"{wrong.sum()} of 80 were misclassified" in page


BAD = {
    "sealed": (lambda t, p, f: write_report(t, SealedDataset(p), f), DataError, "ArrayDataset"),
    "no labels": (lambda t, p, f: write_report(t, (p.x, p.y.astype(float)), f), DataError, "must be labels"),
    "names": (lambda t, p, f: write_report(t, p, f, classes=["a"]), ArgumentError, "1 names"),
    "labels": (lambda t, p, f: write_report(t, (p.x, p.y + 5), f), DataError, "from 5 to 14"),
    "folder": (lambda t, p, f: write_report(t, p, f.parent), OutputError, "is a folder"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(trainer, part, tmp_path, call, error, match):
    with pytest.raises(error, match=match):
        call(trainer, part, tmp_path / "report.html")


def test_it_says_whether_the_examples_were_learned_from(trainer, part, digits, tmp_path):
    fresh = write_report(trainer, part, tmp_path / "a.html").read_text()
    assert "80 examples that it was not trained on" in fresh
    learned = write_report(trainer, digits.train.subset(np.arange(20)), tmp_path / "b.html").read_text()
    assert "20 examples that it was trained on" in learned


def test_what_is_counted_is_spread_over_all_examples_and_said(trainer, part, tmp_path, monkeypatch):
    monkeypatch.setattr("minicnn.analyse.report.sections.MOST_COUNTED", 40)
    page = write_report(trainer, part, tmp_path / "x.html", classes=np.array(list("abcdefghij"))).read_text()
    assert "Counts are of 40 of the 80 examples, evenly spread." in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert data["labels"] == part.y[np.linspace(0, 79, 40).astype(int)].tolist()
