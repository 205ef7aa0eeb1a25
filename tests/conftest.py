"""What holds for every test of the suite."""

import re

import pytest


def pytest_collection_modifyitems(items):
    """Refuse names that differ from process to process: those who share the suite must find the same tests."""
    named = [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]", item.nodeid)]
    if named:
        raise pytest.UsageError(f"{len(named)} test names hold an address in memory, such as {named[0]}: give it an id")
