"""Python called from C: sort keys, mapped functions, ctypes callbacks, signal handlers, imports."""
import ctypes
import functools
import gc
import json
import os
import pickle
import re
import signal
import sys
import weakref

from callbacks_chain import chain, onward


@chain.link
def sort_key():
    sorted([1], key=onward)


@chain.link
def sort_key_in_python():
    def key(value):
        return onward(value)
    sorted([1, 2], key=key)


@chain.link
def comparison():
    def compare(left, right):
        return onward(left, right)
    sorted([1, 2], key=functools.cmp_to_key(compare))


@chain.link
def mapped():
    list(map(lambda value: onward(value), [1]))


@chain.link
def filtered():
    list(filter(onward, [1]))


@chain.link
def reduced():
    functools.reduce(lambda left, right: onward(), [1, 2])


@chain.link
def substituted():
    re.sub('.', lambda match: onward(match), 'x')


@chain.link
def partial():
    functools.partial(onward, 1, two=2)()


@chain.link
def summed():
    sum(onward() for _ in range(1))


@chain.link
def largest():
    max([1, 2], key=lambda value: onward(value))


@chain.link
def by_sentinel():
    list(iter(lambda: onward(), None))


@chain.link
def through_getattr():
    class Class(object):
        def __getattr__(self, name):
            return onward()
    getattr(Class(), 'missing')


@chain.link
def dictionary():
    class Key(object):
        def __hash__(self):
            return 1

        def __eq__(self, other):
            return onward()
    {Key(): 1}.get(Key())


@chain.link
def missing_key():
    class Mapping(dict):
        def __missing__(self, key):
            return onward()
    Mapping()[1]


@chain.link
def formatted():
    class Class(object):
        def __format__(self, specification):
            return onward()
    '{0:x}'.format(Class())


@chain.link
def as_text():
    class Class(object):
        def __str__(self):
            return onward()
    '%s' % Class()


@chain.link
def pickled():
    class Class(object):
        def __reduce__(self):
            return onward()
    pickle.dumps(Class(), 2)


@chain.link
def decoded():
    json.loads('{}', object_hook=lambda value: onward(value))


@chain.link
def weak_reference():
    class Class(object):
        pass
    value = Class()
    reference = weakref.ref(value, lambda _: onward())
    del value


@chain.link
def collected():
    class Class(object):
        def __init__(self):
            self.cycle = self
            self.reference = weakref.ref(self.cycle)

        def __del__(self):
            onward()
    if sys.version_info[0] < 3:  # a cycle with __del__ is never collected there
        return onward()
    Class()
    gc.collect()


@chain.link
def foreign():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))

    def compare(left, right):
        return onward()
    numbers = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(numbers, 2, ctypes.sizeof(ctypes.c_int), kind(compare))


@chain.link
def foreign_with_the_lock():
    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)

    def callback(value):
        return onward()
    kind(callback)(1)


@chain.link
def signalled():
    def handler(number, frame):
        onward()
    signal.signal(signal.SIGUSR1, handler)
    os.kill(os.getpid(), signal.SIGUSR1)
    # The handler runs at a check of the evaluation loop: at the latest in this one.
    for _ in range(1000000):
        pass


@chain.link
def imported():
    import imported


@chain.link
def executed():
    exec(compile('onward()', '<executed>', 'exec'), {'onward': onward})


@chain.link
def evaluated():
    eval('(lambda: onward())()', {'onward': onward})


if __name__ == '__main__':
    onward()
