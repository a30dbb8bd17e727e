"""Reads a ledger and sums it up."""

from decimal import Decimal


def read(text):
    """The entries of a ledger, in the order of the text."""
    entries = json.loads(text, parse_float=Decimal)
    return [(entry["account"], Decimal(entry["amount"])) for entry in entries]


def balance(entries, account):
    """What is left on an account."""
    return sum((amount for name, amount in entries if name == account), Decimal(0))
