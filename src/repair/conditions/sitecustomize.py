# Python imports this at its start when a diagnostic run asks for another clock or another order: never in a run that
# judges anything. Code in C that asks the kernel itself (SQLite, OpenSSL, numpy's "now", file times) is not reached.
import os
import sys


def shift(offset):
    import datetime
    import time

    nanoseconds = int(offset) * 10**9
    real = {name: getattr(time, name) for name in dir(time)}

    def now():
        return real["time"]() + offset

    def of(name):
        def converted(seconds=None):
            return real[name](now() if seconds is None else seconds)

        return converted

    def clock_gettime(clock):
        return real["clock_gettime"](clock) + (offset if clock == time.CLOCK_REALTIME else 0)

    def clock_gettime_ns(clock):
        return real["clock_gettime_ns"](clock) + (nanoseconds if clock == time.CLOCK_REALTIME else 0)

    time.time = now
    time.time_ns = lambda: real["time_ns"]() + nanoseconds
    time.gmtime, time.localtime, time.ctime = of("gmtime"), of("localtime"), of("ctime")
    time.asctime = lambda *given: real["asctime"](*given or (time.localtime(),))
    time.strftime = lambda form, *given: real["strftime"](form, *given or (time.localtime(),))
    time.clock_gettime, time.clock_gettime_ns = clock_gettime, clock_gettime_ns

    real_date, real_datetime = datetime.date, datetime.datetime

    class OfDate(type):
        def __instancecheck__(cls, value):
            return isinstance(value, real_date)

        def __subclasscheck__(cls, other):
            return issubclass(other, real_date)

    class OfDatetime(type):
        def __instancecheck__(cls, value):
            return isinstance(value, real_datetime)

        def __subclasscheck__(cls, other):
            return issubclass(other, real_datetime)

    class date(real_date, metaclass=OfDate):
        @classmethod
        def today(cls):
            return cls.fromtimestamp(now())

    class datetime_(real_datetime, metaclass=OfDatetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(now(), tz)

        @classmethod
        def today(cls):
            return cls.now()

        @classmethod
        def utcnow(cls):
            return super().utcnow() + datetime.timedelta(seconds=offset)

    for name, fake in (("date", date), ("datetime", datetime_)):
        fake.__name__ = fake.__qualname__ = name
        fake.__module__ = "datetime"
        setattr(datetime, name, fake)


def reverse():
    from unittest import suite

    suite.BaseTestSuite.__iter__ = lambda self: iter(list(self._tests)[::-1])


def next_one():
    """The environment's own module of this name, which this one stands before."""
    own = os.path.dirname(os.path.abspath(__file__))
    path = list(sys.path)
    sys.path[:] = [entry for entry in path if os.path.abspath(entry) != own]
    this = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        if this is not None:
            sys.modules["sitecustomize"] = this
    finally:
        sys.path[:] = path


if os.environ.get("TEST_REPAIR_CLOCK"):
    shift(float(os.environ["TEST_REPAIR_CLOCK"]))
if os.environ.get("TEST_REPAIR_REVERSED"):
    reverse()
next_one()
