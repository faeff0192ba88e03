"""memory_known.py [arrays]: functions whose lines take and give back known amounts of memory, as memory_profiler shows.

With `arrays` those of numpy as well. At the end it writes by how much more was resident after each, as JSON, and how much at most.
"""
import json
import os
import resource
import sys
import time

try:
    profile
except NameError:
    def profile(function):
        return function

PAGE = os.sysconf('SC_PAGE_SIZE')
told = {}


def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * PAGE


def tell(name, work):
    before = resident()
    kept = work()
    told[name] = resident() - before
    time.sleep(0.05)
    return kept


@profile
def readme():
    a = [1] * (10 ** 6)
    b = [2] * (2 * 10 ** 7)
    del b
    return a


@profile
def big_list():
    numbers = [None] * 12500000
    return numbers


@profile
def grow_and_release():
    parts = []
    for _ in range(40):
        parts.append(bytearray(b'x' * 1000000))
        time.sleep(0.004)
    half = len(parts) // 2
    time.sleep(0.02)
    del parts[half:]
    time.sleep(0.02)
    return parts


@profile
def arrays():
    ones = numpy.ones(8000000)
    text = numpy.full(20000000, 7, dtype='u1')
    both = numpy.concatenate([ones, ones])
    del ones
    return text, both


@profile
def leak():
    kept = []
    for _ in range(30):
        kept.append('x' * 1000000)
        time.sleep(0.03)
    return kept


# So that who looks on is there in time.
time.sleep(0.5)
kept = [tell(function.__name__, function) for function in (readme, big_list, grow_and_release, leak)]
if 'arrays' in sys.argv:
    import numpy
    kept.append(tell('arrays', arrays))
time.sleep(0.1)
print(json.dumps(told))
print('at most %d' % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
