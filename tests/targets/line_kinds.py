"""line_kinds.py SECONDS: functions of every kind, each with a line of its own that takes time, for SECONDS."""
import functools
import sys
import time

clock = getattr(time, 'perf_counter', time.time)


def spin(seconds):
    end = clock() + seconds
    while clock() < end:
        pass


def decorator(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)  # wraps
    return wrapper


@decorator
@decorator
def decorated(
    seconds,
):
    """Text that stands

left of it.
    """
    spin(seconds)  # is decorated


def outer(seconds):
    def inner(value):
        spin(value)  # is nested

    inner(seconds)  # calls what is nested
    return seconds


class Class(object):
    def method(self, seconds):
        spin(seconds)  # is a method

    @property
    def attribute(self):
        spin(0.002)  # is a property


function = lambda seconds: spin(seconds)  # is a lambda


def generator(seconds):
    for _ in range(2):
        spin(seconds)  # generates
        yield seconds


def recurse(depth, seconds):
    spin(seconds)  # in each call
    if depth:
        recurse(depth - 1, seconds)  # calls itself


def wait(seconds):
    time.sleep(seconds)  # sleeps
    spin(seconds)  # computes


end = clock() + float(sys.argv[1])
while clock() < end:
    decorated(0.002)
    outer(0.002)
    Class().method(0.002)
    Class().attribute
    function(0.002)
    list(generator(0.001))
    recurse(3, 0.0005)
    wait(0.003)
    spin(0.002)  # in the module
