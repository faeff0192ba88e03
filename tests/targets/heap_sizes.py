"""heap_sizes.py FILE: makes objects of all kinds of types, in all sizes, and writes to FILE for each of them, and for all that the
collector tracks, its address, what sys.getsizeof() says and the name of its type; says how many, and waits.
"""
import array
import collections
import datetime
import decimal
import functools
import io
import itertools
import operator
import re
import struct
import sys
import threading
import types
import weakref

from heap_measured import tell

PY3 = sys.version_info[0] >= 3
kept = []


def add(*objects):
    kept.extend(objects)


class Plain(object):
    def __init__(self, number):
        self.number = number
        self.items = [number]
        self.text = str(number)


class Many(object):
    def __init__(self, count):
        for number in range(count):
            setattr(self, 'attribute%d' % number, number)


class Slots(object):
    __slots__ = ('first', 'second', '__weakref__')


class SlotsAndDict(object):
    __slots__ = ('first', '__dict__')


class SlotsBelow(Slots):
    pass


class Int(int):
    pass


class IntWithDict(int):
    def __init__(self, *_):
        self.attribute = 1


class List(list):
    pass


class Dict(dict):
    pass


class Tuple(tuple):
    pass


class Str(str):
    pass


class Set(set):
    pass


class Float(float):
    pass


class Bytes(bytes):
    pass


class Error(Exception):
    pass


class Meta(type):
    pass


def generate(count):
    items = [count]
    for number in range(count):
        yield number, items


def closure(value):
    def inner():
        return value
    return inner


def numbers(number):
    add(number * 10 ** 9, number * 10 ** 40, -number * 10 ** 20, float(number), complex(number, number))
    add(Int(number * 10 ** 10 % 2 ** 62), IntWithDict(number * 10 ** 20 if PY3 else number), Float(number))
    add(decimal.Decimal(number), datetime.datetime(2000 + number, 1, 1), datetime.timedelta(number))


def texts(number):
    add('ascii-%d' % number, u'\xe9-%d' % number, u'\u20ac-%d' % number, u'\U0001f600-%d' % number)
    add(('bytes-%d' % number).encode('ascii'), Bytes(b'q' * number), bytearray(range(number % 200)))
    add(Str('text%d' % number), io.BytesIO(b'x' * number), io.StringIO(u'x' * number))
    add(memoryview(bytearray(b'x' * number)), struct.Struct('i' * (number % 20 + 1)), array.array('i', range(number)))
    if PY3:
        add(Str(u'\u20actext'))


def containers(number):
    add([number] * number, tuple(range(number % 30)), {number: number}, dict.fromkeys(range(number)))
    add(dict.fromkeys(map(str, range(number))), set(range(number)), frozenset(range(number % 20)))
    add(List(range(number)), Dict.fromkeys(range(number)), Tuple(range(number % 30)), Set(range(number)))
    add(collections.deque(range(number)), collections.OrderedDict.fromkeys(range(number % 50)))
    add(collections.defaultdict(list, {number: number}), collections.Counter('abc' * number))
    shrunk = {}
    for key in range(number):
        shrunk[key] = key
    for key in range(number - 2):
        del shrunk[key]
    add(shrunk)


def instances(number):
    many = Many(number % 40)
    if number % 3 == 0:
        many.__dict__
    slots, both, below = Slots(), SlotsAndDict(), SlotsBelow()
    slots.first = both.first = below.first = number
    both.other = below.other = [number]
    add(Plain(number), many, slots, both, below, object(), Error('error', number), threading.Lock())
    add(weakref.ref(slots), slots.__init__, property(len), staticmethod(len), classmethod(len))
    if PY3:
        add(types.SimpleNamespace(first=number))


def callables(number):
    generator = generate(number)
    next(generator, None)
    inner = closure(number)
    add(generator, inner, inner.__closure__, inner.__closure__[0], functools.partial(int, number), [].append)
    add(itertools.count(number), iter([number]), iter((number,)), iter({number: 1}), iter({number}), enumerate([number]))
    add(range(number, number + 10), slice(number, number + 1), map(str, [number]), zip([number]), reversed([number]))
    add(operator.itemgetter(number))


def rare(number):
    add(re.compile('a%d' % number), threading.Event(), types.ModuleType('module%d' % number))
    add(type('Class%d' % number, (object,), {'first': number}), Meta('Meta%d' % number, (Plain,), {'second': number}))
    source = 'x = %d\ndef f(a, b=%d): return [a for a in range(b)]' % (number, number)
    add(compile(source, 'file%d' % number, 'exec'))


for number in range(300):
    for make in (numbers, texts, containers, instances, callables):
        make(number)
for number in range(40):
    rare(number)
add('x' * 1000000, list(range(100000)), tuple(range(5000)), b'x' * 70000, bytearray(90000), 1 << 100000)
tell(sys.argv[1], kept)
