import unittest
from decimal import Decimal

from ledger import book

LEDGER = '[{"account": "cash", "amount": 12.5}, {"account": "bank", "amount": 3}, {"account": "cash", "amount": -2.25}]'


class ReadTest(unittest.TestCase):
    def test_entries_keep_their_order(self):
        accounts = [account for account, _ in book.read(LEDGER)]
        self.assertEqual(accounts, ["cash", "bank", "cash"])

    def test_amounts_are_exact(self):
        self.assertEqual(book.balance(book.read(LEDGER), "cash"), Decimal("10.25"))


class BalanceTest(unittest.TestCase):
    def test_an_unknown_account_is_empty(self):
        self.assertEqual(book.balance([("cash", Decimal(1))], "bank"), 0)


if __name__ == "__main__":
    unittest.main()
