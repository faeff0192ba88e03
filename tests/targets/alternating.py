"""alternating.py calls|slow-calls|generators: two functions in turn, `steady` and `moving`, about as long as each other.

calls: `steady` makes one call of C, of some 2.6 microseconds; `moving` makes small calls of Python for as long.
slow-calls: the same with 50 microseconds: what is read without a stop in some microseconds is mostly cut where a
turn is no longer than the read.
generators: 50 microseconds each, in a chain of generators and in one of functions.

For each byte on stdin it says what it has counted since the last one: seconds in `steady` and in `moving`, the sum of the
squares of the seconds it was kept waiting, turns left out, and all turns.

The clock is read around each call, not around blocks of many calls of one kind: those would measure another
processor, which has learned one kind, at another moment. What the clock costs is time of neither function, and
what of it is measured, with the call itself, is the same for both; since both are about as long it shifts no share.

A turn that took more than twice what turns take was stopped or kept waiting, and is left out as a whole: else a
stop would make true what it claims. For the same reason both have to be as long as each other: a sample that is read
without a stop, just as one ends and the other begins, belongs to neither, so that the shorter one would lose more.
"""
import itertools
import os
import sys
import threading
import time

from testimony import report, tell

clock = getattr(time, 'perf_counter', time.time)
MODE = sys.argv[1]
LENGTH = {'calls': 2.6e-6, 'slow-calls': 50e-6, 'generators': 50e-6}[MODE]
# What `serve` tells.
counted = [0.0, 0.0, 0.0, 0, 0]
# More than this is no stop any more: somebody else had the processor.
WAIT = 0.001


def leaf(x):
    return x


def middle(x):
    return leaf(x)


def small(x):
    return middle(x)


def many_small(rounds):
    for x in rounds:
        small(x)


def moving_calls(size):
    many_small(size)


def steady_calls(size):
    sum(size)


def innermost_function(size):
    return sum(size)


def middle_function(size):
    return innermost_function(size)


def moving_generators(size):
    return middle_function(size)


def innermost_generator():
    value = None
    while True:
        value = yield value
        value = sum(value)


def middle_generator():
    yield from innermost_generator()


def outer_generator():
    yield from middle_generator()


chain = outer_generator()
next(chain)


def steady_generators(size):
    chain.send(size)


def seconds(function, size):
    """The shortest time of a call, of many."""
    best = 1.0
    for _ in range(20):
        start = clock()
        for _ in range(50):
            function(size)
        best = min(best, (clock() - start) / 50)
    return best


def calibrated(function, length):
    """The items for which `function` takes `length` seconds."""
    items = (0,) * 100
    for _ in range(4):
        items = (0,) * max(1, int(round(len(items) * length / seconds(function, items))))
    return items


def work(steady, steady_size, moving, moving_size, limit, turns):
    for _ in turns:
        start = clock()
        steady(steady_size)
        between = clock()
        moving(moving_size)
        end = clock()
        counted[4] += 1
        if end - start < limit:
            counted[0] += between - start
            counted[1] += end - between
        else:
            counted[3] += 1
            if end - start > WAIT:
                counted[2] += (end - start) ** 2


def reset():
    counted[:] = [0.0, 0.0, 0.0, 0, 0]


def serve():
    while os.read(0, 1):
        told = list(counted)
        reset()
        tell(dict(zip(('steady', 'moving', 'squares', 'left_out', 'turns'), told)))
    os._exit(0)


def main():
    if MODE != 'generators':
        steady, moving = steady_calls, moving_calls
    else:
        steady, moving = steady_generators, moving_generators
    moving_size = calibrated(moving, LENGTH)
    # Few rounds of calls are a coarse measure, many items to sum up are a fine one.
    length = seconds(moving, moving_size)
    steady_size = calibrated(steady, length)
    # In turns each is another length than alone.
    for _ in range(8):
        reset()
        work(steady, steady_size, moving, moving_size, 4 * length, range(int(0.02 / length)))
        if counted[0]:
            steady_size = (0,) * max(1, int(round(len(steady_size) * counted[1] / counted[0])))
    reset()
    server = threading.Thread(target=serve)
    server.daemon = True
    server.start()
    report([])
    work(steady, steady_size, moving, moving_size, 4 * length, itertools.repeat(None))


main()
