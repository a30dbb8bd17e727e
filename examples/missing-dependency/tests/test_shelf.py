import shelf

BOOKS = [("Middlemarch", 1871), ("Ulysses", 1922)]


def test_what_is_kept_comes_back():
    assert shelf.load(shelf.dump(BOOKS)) == BOOKS


def test_an_empty_shelf_holds_nothing():
    assert shelf.load("") == []
