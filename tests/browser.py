"""A real browser for the tests that look at pages: headless Chromium, driven by Selenium."""

import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def chromium(width, height, **capabilities):
    """Open Chromium for a `with` block. Where there is none, or it does not start, the test skips and says why."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.common.exceptions import SessionNotCreatedException

    options = webdriver.ChromeOptions()
    options.binary_location = program
    # Containers: there is no sandbox for root, and little shared memory.
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "disable-gpu",
        f"window-size={width},{height}",
    ):
        options.add_argument(f"--{argument}")
    for name, value in capabilities.items():
        options.set_capability(f"goog:{name}", value)
    try:
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    except SessionNotCreatedException as error:
        pytest.skip(f"chromium does not start here: {error.msg}")
    try:
        yield browser
    finally:
        browser.quit()
