"""Dates as an office counts them."""

import datetime


def working_days(first, last):
    """How many days from Monday to Friday there are between two dates, both included."""
    days = (last - first).days
    return sum(1 for n in range(days) if (first + datetime.timedelta(n)).weekday() < 5)
