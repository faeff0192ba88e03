"""Callers at every kind of instruction that can call, once specialised too, and where C calls in between.

With the argument `traced` a trace function runs on top, which any instruction can have called.
"""
import gc
import os
import signal
import sys

from witness import Chain

chain = Chain()
onward = chain.onward

# So often an instruction runs before it is expected to be specialised.
WARM = 300


def at_last(calls=[]):
    """Calls onward once what calls this is specialised."""
    calls.append(None)
    if len(calls) == WARM:
        del calls[:]
        return onward()
    return 1


@chain.link
def call():
    for _ in range(WARM):
        at_last()


@chain.link
def keywords():
    def taking(first, second=2):
        return at_last()
    for _ in range(WARM):
        taking(first=1)


@chain.link
def unpacked():
    def taking(*_, **__):
        return at_last()
    arguments, named = (1, 2), {'three': 3}
    for _ in range(WARM):
        taking(*arguments, **named)


@chain.link
def method():
    class Class(object):
        def method(self):
            return at_last()
    instance = Class()
    for _ in range(WARM):
        instance.method()


@chain.link
def item():
    class Class(object):
        def __getitem__(self, key):
            return at_last()
    instance = Class()
    for _ in range(WARM):
        instance[1]


@chain.link
def read_property():
    class Class(object):
        @property
        def value(self):
            return at_last()
    instance = Class()
    for _ in range(WARM):
        instance.value


@chain.link
def read_any_attribute():
    class Class(object):
        def __getattribute__(self, name):
            return at_last()
    instance = Class()
    for _ in range(WARM):
        instance.value


@chain.link
def instances():
    class Class(object):
        def __init__(self):
            at_last()
    for _ in range(WARM):
        Class()


@chain.link
def comparison():
    class Class(object):
        def __lt__(self, other):
            return at_last()

        def __bool__(self):
            return at_last()
        __nonzero__ = __bool__
    instance = Class()
    for _ in range(WARM):
        instance < 1


@chain.link
def loop():
    def generator():
        while True:
            yield at_last()
    for _, _ in zip(range(WARM), generator()):
        pass


@chain.link
def inlined_loop():
    def generator():
        for _ in range(WARM):
            yield at_last()
    for _ in generator():
        pass


@chain.link
def destructor_at_return():
    class Class(object):
        def __del__(self):
            at_last()

    def function():
        instance = Class()
        return 1
    for _ in range(WARM):
        function()


@chain.link
def destructor_at_assignment():
    class Class(object):
        def __del__(self):
            at_last()
    for _ in range(WARM + 1):
        instance = Class()
    del instance


@chain.link
def generator_left_behind():
    def generator():
        try:
            yield 1
        finally:
            onward()

    def leaves():
        for _ in generator():
            return
    leaves()


@chain.link
def signal_handler():
    def handler(*_):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        onward()
    signal.signal(signal.SIGUSR1, handler)
    os.kill(os.getpid(), signal.SIGUSR1)
    count = 0
    while True:
        count += 1


@chain.link
def collection():
    if not hasattr(gc, 'callbacks'):
        return onward()

    def collected(*_):
        del gc.callbacks[:]
        onward()
    gc.callbacks.append(collected)
    gc.set_threshold(10)
    kept = []
    while True:
        kept.append([])


def with_many_names(expression, namespace):
    """A function of `expression`, whose names have numbers too large for one byte."""
    lines = ['def link():', '    if not many:']
    lines += ['        name%d' % number for number in range(300)]
    exec('\n'.join(lines + ['    return ' + expression]), namespace)
    return namespace['link']


@chain.link
def prefixed_operator():
    class Many(object):
        def __getattr__(self, name):
            return onward()
    with_many_names('many.attribute', {'many': Many()})()


@chain.link
def prefixed_property():
    class Many(object):
        @property
        def attribute(self):
            return at_last()
    link = with_many_names('many.attribute', {'many': Many()})
    for _ in range(WARM):
        link()


DELEGATED = '''
def inner():
    try:
        yield 1
    except ValueError:
        onward()
    yield 2

def middle():
    yield from inner()

def outer():
    yield from middle()

def link():
    started = outer()
    next(started)
    started.throw(ValueError())
'''

DELEGATED_WARM = '''
def inner():
    for _ in range(WARM):
        yield at_last()

def middle():
    yield from inner()

def link():
    for _ in middle():
        pass
'''

for source in DELEGATED, DELEGATED_WARM:
    try:
        compiled = compile(source, '<delegated>', 'exec')
    except SyntaxError:
        continue
    delegated = {'onward': onward, 'at_last': at_last, 'WARM': WARM}
    exec(compiled, delegated)
    chain.link(delegated['link'])


def traced():
    value = 1
    value = value
    return value


def trace(frame, event, _):
    if frame.f_code is traced.__code__ and event == 'line' and frame.f_lineno == frame.f_code.co_firstlineno + 2:
        onward()
    return trace


if sys.argv[1:] == ['traced']:
    del chain.links[1:]
    sys.settrace(trace)
    traced()
onward()
