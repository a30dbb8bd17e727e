import datetime
import unittest

from dates import working_days

MONDAY = datetime.date(2024, 1, 1)


class WorkingDaysTest(unittest.TestCase):
    def test_a_week_has_five(self):
        self.assertEqual(working_days(MONDAY, MONDAY + datetime.timedelta(6)), 5)

    def test_the_last_day_counts(self):
        self.assertEqual(working_days(MONDAY, MONDAY + datetime.timedelta(4)), 5)

    def test_a_weekend_has_none(self):
        saturday = MONDAY + datetime.timedelta(5)
        self.assertEqual(working_days(saturday, saturday + datetime.timedelta(1)), 0)


if __name__ == "__main__":
    unittest.main()
