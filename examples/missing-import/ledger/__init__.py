"""A ledger of amounts."""
