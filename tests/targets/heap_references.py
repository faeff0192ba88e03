"""heap_references.py FILE MODULE...: makes objects of many types, loads what large programs load and these modules, and writes
to FILE for each object that the collector tracks its address, its type and what gc.get_referents() gives, by spaces; says how
many, and waits.
"""
import collections
import ctypes
import decimal
import functools
import gc
import itertools
import signal
import sys
import weakref

for name in ('argparse', 'asyncio', 'concurrent.futures', 'dataclasses', 'doctest', 'email.message', 'enum', 'http.client',
             'json', 'logging.handlers', 'multiprocessing', 'sqlite3', 'typing', 'unittest', 'xml.etree.ElementTree'):
    try:
        __import__(name)
    except ImportError:
        pass
for name in sys.argv[2:]:
    __import__(name)


class Plain(object):
    def __init__(self, number):
        self.number = number
        self.items = [number]


class Slots(object):
    __slots__ = ('first', 'second')

    def __init__(self, number):
        self.first = [number]
        self.second = (number, [number])


class Mixed(Slots):
    def __init__(self, number):
        Slots.__init__(self, number)
        self.extra = {number: [number]}


class List(list):
    pass


class Dict(dict):
    pass


class Tuple(tuple):
    pass


class Int(int):
    pass


class Error(Exception):
    pass


class Structure(ctypes.Structure):
    _fields_ = [('number', ctypes.c_int)]


def generate(number):
    items = [number]
    more = {number: items}
    yield items, more


def closure(number):
    value = [number]

    def inner():
        return value
    return inner


def with_attribute(kept):
    kept.attribute = [kept]
    return kept


Named = collections.namedtuple('Named', 'first second')
kept = []
for number in range(300):
    generator = generate(number)
    next(generator)
    plain = Plain(number)
    kept += [
        plain, Slots(number), Mixed(number), closure(number), generator, plain.__init__, weakref.ref(plain),
        with_attribute(List([number, [number]])), with_attribute(Dict({number: [number]})),
        with_attribute(Tuple((number, [number]))), with_attribute(Int(number)), Named(number, [number]),
        {number: [number]}, {frozenset([number])}, frozenset([(number,)]), Error([number]), Structure(),
        collections.deque([[item] for item in range(number % 200)]), collections.OrderedDict([(number, [number])]),
        collections.defaultdict(list, {number: [number]}), functools.partial(closure, number), iter([number]),
        itertools.chain([number], [number]), property(closure(number)), classmethod(closure(number)),
        memoryview(bytearray(10)), decimal.Decimal(number), enumerate([number]), slice(number, [number]),
        super(Mixed, Mixed(number)),
    ]
gc.collect()
gc.disable()
count = 0
with open(sys.argv[1], 'w') as output:
    for item in gc.get_objects():
        # Those change while this is written.
        changing = (output, globals(), getattr(sys, 'lazy_modules', None))
        if any(item is one for one in changing) or type(item).__name__ == 'frame':
            continue
        places = ' '.join([str(id(other)) for other in gc.get_referents(item)])
        name = '%s.%s' % (type(item).__module__, type(item).__name__)
        output.write('%d %s %s\n' % (id(item), name.replace(' ', '_'), places))
        count += 1
sys.stdout.write('%d objects\n' % count)
sys.stdout.flush()
signal.pause()
