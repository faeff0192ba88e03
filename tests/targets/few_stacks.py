"""few_stacks.py THREADS: threads that go round a few dozen stacks, functions, generators and sorted() with a key among
them, and two that sleep. Runs until stdin ends."""
import os
import sys
import threading

from testimony import report


def leaf(x):
    return x + 1


def other_leaf(x):
    return leaf(x) - 1


def inner(x):
    x = leaf(x)
    return other_leaf(x)


def outer(x):
    x = inner(x)
    return inner(leaf(x))


def numbers(x):
    yield leaf(x)
    yield inner(x)


def generated(x):
    for x in numbers(x):
        pass
    return x


def key(x):
    return leaf(-x)


def ordered(x):
    return sorted((x, x + 1), key=key)[0]


def deep(levels, x):
    return deep(levels - 1, x) if levels else leaf(x)


def work():
    x = 0
    while True:
        for step in (outer, generated, ordered, inner):
            x = step(x)
        x = deep(10, x)


def serve():
    os.read(0, 1)
    os._exit(0)


for function in [serve, threading.Event().wait] + [work] * (int(sys.argv[1]) - 1):
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()
report([])
work()
