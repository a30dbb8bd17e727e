"""Books on a shelf, kept as TOML."""

import sys

import tomli_w

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def dump(books):
    """A shelf as TOML."""
    return tomli_w.dumps({"books": [{"title": title, "year": year} for title, year in books]})


def load(text):
    """The books of a shelf, in their order."""
    return [(book["title"], book["year"]) for book in tomllib.loads(text).get("books", [])]
