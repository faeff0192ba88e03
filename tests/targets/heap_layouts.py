"""heap_layouts.py FILE: makes instances of classes that are laid out in unusual ways, and of types of the standard library that are
written in C, and writes to FILE how large they say they are; see heap_measured.py.
"""
import array
import bz2
import codecs
import collections
import contextlib
import csv
import ctypes
import datetime
import decimal
import functools
import hashlib
import io
import itertools
import json
import mmap
import operator
import os
import pickle
import random
import re
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import types
import weakref
import zlib
from xml.etree import ElementTree

from heap_measured import tell

# What not every interpreter has.
try:
    import sqlite3
except ImportError:
    sqlite3 = None
try:
    import numpy
except ImportError:
    numpy = None

PY3 = sys.version_info[0] >= 3
COUNT = 40
kept = []


def add(*objects):
    kept.extend(objects)


class Slots(object):
    __slots__ = ('first', 'second')


class Weak(object):
    __slots__ = ('first', '__weakref__')


class All(object):
    __slots__ = ('first', '__dict__', '__weakref__')


class Empty(object):
    __slots__ = ()


class BelowEmpty(Empty):
    pass


class ManySlots(object):
    __slots__ = tuple('slot%d' % number for number in range(70))


class SlotsBelowSlots(Slots):
    __slots__ = ('third',)


class IntSlots(int):
    __slots__ = ()


class FloatSlots(float):
    __slots__ = ('unit',)


class StrSlots(str):
    __slots__ = () if not PY3 else ('language',)


class ListSlots(list):
    __slots__ = ('first', 'second')


class ListAll(list):
    __slots__ = ('first', '__dict__', '__weakref__')


class DictSlots(dict):
    __slots__ = ('first',)


class SetSlots(set):
    __slots__ = ('first',)


class TupleSlots(tuple):
    __slots__ = ()


class Deque(collections.deque):
    pass


class DequeSlots(collections.deque):
    __slots__ = ('first',)


class Ordered(collections.OrderedDict):
    pass


class Default(collections.defaultdict):
    __slots__ = ('first',)


class Numbers(array.array):
    pass


class Bytes(bytearray):
    pass


class Buffer(io.BytesIO):
    pass


class Text(io.StringIO):
    pass


class Date(datetime.datetime):
    pass


class Money(decimal.Decimal):
    pass


class Partial(functools.partial):
    pass


class Local(threading.local):
    pass


class Thread(threading.Thread):
    pass


class Reference(weakref.ref):
    __slots__ = ('key',)


class Property(property):
    pass


class Module(types.ModuleType):
    pass


class Meta(type):
    pass


class MetaSlots(type):
    def __new__(kind, name, bases, namespace):
        namespace['__slots__'] = ('first',)
        return type.__new__(kind, name, bases, namespace)


MadeByMeta = Meta('MadeByMeta', (object,), {'first': 1})
MadeByMetaSlots = MetaSlots('MadeByMetaSlots', (object,), {})


class Error(Exception):
    pass


class ErrorSlots(ValueError):
    __slots__ = ('first',)


class OsError(OSError):
    def __init__(self, *words):
        OSError.__init__(self, *words)
        self.first = words


class Described(object):
    def __init__(self):
        self.first = 1

    @property
    def second(self):
        return 2

    @classmethod
    def third(cls):
        return 3

    @staticmethod
    def fourth():
        return 4


class Both(Slots, Described):
    pass


class Point(ctypes.Structure):
    _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_double)]


class Value(ctypes.Union):
    _fields_ = [('number', ctypes.c_long), ('text', ctypes.c_char * 40)]


Pair = collections.namedtuple('Pair', 'left right')


class PairWithDict(Pair):
    pass


@contextlib.contextmanager
def managed():
    yield 1


def generate(number):
    yield number


def attribute(target, **values):
    for name, value in values.items():
        setattr(target, name, value)
    return target


def slots(number):
    add(attribute(Slots(), first=number), attribute(Weak(), first=number), attribute(All(), first=1, other=number))
    add(Empty(), attribute(BelowEmpty(), first=number), attribute(ManySlots(), slot3=number))
    add(attribute(SlotsBelowSlots(), first=1, third=number))
    weak = Weak()
    add(weak, weakref.ref(weak), weakref.proxy(weak), Reference(weak), weakref.WeakSet([weak]))
    add(weakref.WeakKeyDictionary({weak: number}), weakref.WeakValueDictionary({number: weak}))
    described = Described()
    add(described, described.third, described.fourth, Described.__dict__)


def builtins(number):
    add(IntSlots(number), attribute(FloatSlots(number), unit=1), StrSlots('text'), TupleSlots(range(number)))
    add(attribute(ListSlots(range(number)), first=1), attribute(ListAll(range(number)), first=1, other=2))
    add(attribute(DictSlots({number: 1}), first=1), attribute(SetSlots(range(number)), first=1))
    add(attribute(Deque(range(number * 10)), first=1), attribute(DequeSlots(range(number * 3)), first=1))
    add(Ordered((key, key) for key in range(number)), attribute(Default(list, {number: 1}), first=1))
    add(attribute(Numbers('d', range(number)), first=1), attribute(Bytes(b'x' * number), first=1))
    add(attribute(Buffer(b'x' * number), first=1), Text(u'x' * number), Date(2000 + number, 1, 1))
    add(Money(number) / 7, Partial(int, number), Pair(number, 1), attribute(PairWithDict(number, 1), first=1))
    add(Property(len), Module('module%d' % number), Error(number), ErrorSlots(number), OsError(2, 'no', 'file'), Both())
    add(attribute(Local(), first=number), Thread(), threading.Condition(), threading.RLock(), threading.Semaphore())


def classes(number):
    name = 'Class%d' % number
    add(Meta(name, (Slots,), {'first%d' % index: index for index in range(number)}), MadeByMeta(), MadeByMetaSlots())
    add(type(name, (list,), {}), type(name, (ctypes.Structure,), {'_fields_': [('x', ctypes.c_int)]}))
    add(type(name, (Exception,), {'__slots__': tuple('slot%d' % index for index in range(number))}))
    add(collections.namedtuple(name, ['field%d' % index for index in range(number)]))


def foreign(number):
    add(Point(number, 1.5), Value(), (Point * number)(), (ctypes.c_int * number)(), ctypes.c_long(number))
    add(ctypes.create_string_buffer(number * 20 + 1), ctypes.pointer(ctypes.c_int(number)), ctypes.py_object(kept))
    add(ctypes.byref(ctypes.c_int(number)), ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1))


def library(number):
    add(datetime.date(2000, 1, 1), datetime.time(1, 2), datetime.datetime(2000, 1, 1), decimal.Context(), decimal.Decimal(10) ** number)
    add(re.compile('a(b)?%d' % number), re.match('(a)(b)?', 'ab'), re.finditer('a', 'aa'), struct.Struct('%dih' % number))
    add(random.Random(number), hashlib.md5(b'x'), hashlib.sha256(b'x'), zlib.compressobj(), zlib.decompressobj(), bz2.BZ2Compressor())
    add(io.BufferedReader(io.BytesIO(b'x')), io.BufferedWriter(io.BytesIO(), 100 + number), io.TextIOWrapper(io.BytesIO(b'x' * number)))
    add(io.BufferedRWPair(io.BytesIO(), io.BytesIO()), csv.reader([]), csv.writer(io.StringIO()), json.JSONDecoder())
    add(codecs.getincrementaldecoder('utf-8')(), codecs.lookup('ascii'), time.gmtime(), os.stat('.'), operator.attrgetter('a', 'b.c'))
    add(operator.methodcaller('x', number), managed(), generate(number), functools.partial(print_nothing, number, word=number))
    add(ElementTree.fromstring('<a b="%d"><c/>text</a>' % number), slice(number), ''.join, str.join, Slots.first, kept.append)
    add(pickled(number), decimal.Decimal('1' * (number * 20 + 1)), element(number))
    add(types.MappingProxyType({number: 1}) if PY3 else 1, sys.exc_info(), type(None), None, Ellipsis, NotImplemented)


def print_nothing(*_, **__):
    pass


def pickled(number):
    pickler = pickle.Pickler(io.BytesIO())
    pickler.dump([(key, [key]) for key in range(number)])
    return pickler


def element(children):
    root = ElementTree.Element('a')
    for number in range(children):
        ElementTree.SubElement(root, 'b', number=str(number))
    return root


def iterators(number):
    items = list(range(number))
    add(iter(items), reversed(items), iter(tuple(items)), iter(set(items)), iter({number: 1}.items()), {1: 2}.keys(), {1: 2}.values())
    add(itertools.chain(items, items), itertools.cycle(items), itertools.islice(items, 3), itertools.repeat(number, 5))
    add(itertools.product(items, items), itertools.permutations(items[:4]), itertools.permutations(items, 3))
    add(itertools.combinations(items, min(2, number)), itertools.combinations_with_replacement(items, 5), itertools.product(*[items] * number))
    add(itertools.groupby(items), itertools.starmap(max, [items]), itertools.takewhile(bool, items), itertools.tee(items)[0])
    add(itertools.dropwhile(bool, items), itertools.compress(items, items), itertools.count(number, 2), iter(range(number)))
    add(iter(u'text'), iter(b'text'), iter(bytearray(b'text')), iter(lambda: 1, 2), filter(None, items), enumerate(items))
    add(iter(collections.deque(items)), reversed(collections.deque(items)), iter(array.array('i', items)))
    add(iter(collections.OrderedDict.fromkeys(items)), memoryview(b'x' * number), range(10 ** 20) if PY3 else 1)


def opened():
    left, right = socket.socketpair()
    add(left, right, tempfile.TemporaryFile(), open(os.devnull), open(os.devnull, 'rb', 0), mmap.mmap(-1, 4096), select.epoll())
    add(open(os.devnull, 'wb', 1000), open(os.devnull, 'r+b', 100))


# What Python 2 could not even parse, and modules it does not have.
MODERN = '''
import asyncio
import collections.abc
import concurrent.futures
import enum
import fractions
import inspect
import ipaddress
import pathlib
import queue
import typing
import uuid


class Colour(enum.Enum):
    RED = 1
    GREEN = 'green'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2 ** 70


class Flags(enum.Flag):
    A = 1
    B = 2


async def waiting(number, *words):
    local = [number]
    await asyncio.sleep(number)
    return local, words


async def yielding(number):
    yield number


def keyword(first, *, second=1, **rest) -> int:
    return first


T = typing.TypeVar('T')


class Generic(typing.Generic[T]):
    pass


class Named(typing.NamedTuple):
    first: int
    second: str


loop = asyncio.new_event_loop()


def modern(number):
    coroutine, generator = waiting(number), yielding(number)
    add(coroutine, generator, coroutine.__await__(), generator.__anext__(), loop.create_future(), *Colour, *Level, *Flags)
    task = loop.create_task(waiting(1000, number))
    loop.run_until_complete(asyncio.sleep(0))
    add(task, keyword, keyword.__annotations__, inspect.signature(keyword), concurrent.futures.Future(), asyncio.Queue())
    add(typing.List[int], typing.Dict[str, typing.List[T]], Generic[int](), Named(number, 'text'), fractions.Fraction(number, 7))
    add(pathlib.PurePosixPath('a/%d' % number), ipaddress.ip_address(number), uuid.uuid4(), queue.Queue(), asyncio.Event())
    add(types.SimpleNamespace(), Flags.A | Flags.B)


for number in range(COUNT):
    modern(number)
'''

# Of 3.7 and later.
NEWER = '''
import contextvars
import dataclasses
import queue


@dataclasses.dataclass
class Data:
    first: int
    second: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, **({'slots': True} if sys.version_info >= (3, 10) else {}))
class DataSlots:
    first: int
    second: str


variable = contextvars.ContextVar('variable')


def newer(number):
    token = variable.set(number)
    waiting = queue.SimpleQueue()
    for item in range(number * 3):
        waiting.put(item)
    add(waiting, Data(number), DataSlots(number, 'text'), variable, token, contextvars.copy_context())


for number in range(COUNT):
    newer(number)
'''


def rows():
    connection = sqlite3.connect(':memory:')
    connection.row_factory = sqlite3.Row
    cursor = connection.execute('select 1 as a')
    add(connection, cursor, cursor.fetchone())


def arrays(number):
    whole = numpy.arange(number * 30)
    add(whole, whole[1:], whole.reshape(5, -1), numpy.zeros((number, 3, 2), 'complex128'), numpy.array('text'), numpy.array([{}] * number))
    add(whole.dtype, numpy.ma.masked_array(whole), numpy.random.RandomState(number))


for number in range(COUNT):
    for make in (slots, builtins, classes, foreign, library, iterators):
        make(number)
opened()
if sqlite3:
    rows()
if numpy:
    for number in range(COUNT):
        arrays(number)
if PY3:
    exec(MODERN)
    add(*[functools.lru_cache(maxsize=size)(generate) for size in (None, 0, 10)])
if sys.version_info >= (3, 7):
    exec(NEWER)
tell(sys.argv[1], kept)
