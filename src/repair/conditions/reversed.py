# A plugin of pytest's: the tests in reverse, for a diagnostic run.
import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.reverse()
