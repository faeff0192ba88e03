"""activities.py exceptions|raising|collecting|collecting-again|waiting: what threads do besides standing somewhere.

exceptions        threads stand in and behind handlers; the name of each says whether sys.exc_info() has something
raising           the main thread raises, again and again, through a call that takes long to clear up
collecting        the main thread stands in a finalizer that a collection has called, and does not let go of the GIL
collecting-again  the main thread collects garbage again and again
waiting           two threads need the GIL again and again, which the main thread does not let go of
"""
import ctypes
import gc
import itertools
import os
import sys
import threading
import time

from witness import arrive, ready, run_in, told, watch


def sleep():
    name = 'handling' if sys.exc_info()[0] else 'not handling'
    threading.current_thread().name = name
    time.sleep(arrive(100000))


def fail():
    raise ValueError('what is handled')


def in_handler():
    try:
        fail()
    except ValueError:
        sleep()


def behind_handler():
    try:
        fail()
    except ValueError:
        pass


def after_handler():
    behind_handler()
    sleep()


def generate(body):
    body()
    yield


def in_generator():
    """The generator handles nothing itself: its caller does."""
    try:
        fail()
    except ValueError:
        for _ in generate(sleep):
            pass


def generator_handles():
    for _ in generate(in_handler):
        pass


def generators():
    for _ in generate(lambda: list(generate(after_handler))):
        pass


def handling():
    try:
        fail()
    except ValueError:
        yield


def suspended_generator_handles():
    """What a generator handles is nobody else's once it has yielded; up to 3.6 only outside of its caller."""
    generator = handling()
    next(generator)
    sleep()


def nested():
    try:
        fail()
    except ValueError:
        behind_handler()
        sleep()


def in_lock():
    threading.current_thread().name = 'not handling'
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(arrive(True))


BODIES = [sleep, in_handler, after_handler, in_generator, generator_handles, generators, suspended_generator_handles,
          nested, in_lock]


def exceptions():
    for body in BODIES:
        thread = threading.Thread(target=body)
        thread.daemon = True
        thread.start()
    threading.current_thread().name = 'not handling'
    os.read(ready(len(BODIES)), 1)
    os._exit(0)


def failing():
    fail()
    yield


def raise_through():
    """What list() has made so far it takes apart while the exception is being raised."""
    list(itertools.chain(MANY, failing()))


def handle_and_return():
    """2.7 keeps what it handled until the function returns."""
    try:
        raise_through()
    except ValueError:
        pass


def raising():
    run_in([[]], sys._getframe())
    told.acquire()
    while True: handle_and_return()


class Finalized(object):
    def __del__(self):
        ctypes.PyDLL(None).read(ready(), ctypes.create_string_buffer(1), 1)
        os._exit(0)


class Node(object):
    pass


def collecting():
    gc.disable()
    node = Node()
    node.cycle, node.finalized = node, Finalized()
    del node
    gc.collect()


def collecting_again():
    run_in([[]], sys._getframe())
    told.acquire()
    while True:
        gc.collect()
        for _ in range(100000): pass


def need_gil():
    arrive()
    while True: time.sleep(0.001)


def waiting():
    for _ in range(2):
        thread = threading.Thread(target=need_gil)
        thread.daemon = True
        thread.start()
    ctypes.PyDLL(None).read(ready(2), ctypes.create_string_buffer(1), 1)
    os._exit(0)


MANY = list(range(1000000))
if sys.argv[1] in ('raising', 'collecting-again'):
    threading.Thread(target=watch).start()
globals()[sys.argv[1].replace('-', '_')]()
