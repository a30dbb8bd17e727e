"""Which thing stands where."""

import os
from pathlib import Path
from collections import defaultdict


def by_shelf(things):
    """Things by the first letter of their name."""
    shelves = defaultdict( list )
    for thing in things:
        shelves[thing[0].upper()].append(thing)
    return dict(shelves)


def label(shelf, count):
    """What stands on a shelf's label."""
    return "{}: {}".format(shelf, count)


def read(path):
    """The things that a file names, one a line."""
    return Path(path).read_text(encoding='utf-8').splitlines()
