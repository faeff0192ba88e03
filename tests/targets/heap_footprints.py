"""heap_footprints.py FILE: makes objects of many kinds, COUNT of each, while tracemalloc writes down what is asked of the allocators,
and writes to FILE a line for each kind: its name, what the allocators spend on all of them, in bytes, and where they are, with what
each has that is an object of its own. Says so, and waits.
"""
import array
import collections
import decimal
import gc
import itertools
import os
import signal
import sys
import sysconfig
import tracemalloc
from io import StringIO
from xml.etree.ElementTree import Element, SubElement

COUNT = 1000
# Blocks of pymalloc are a multiple of that, up to the largest.
ALIGNMENT = 16
LARGEST = 512
ALLOCATOR = os.environ.get('PYTHONMALLOC', '')
# Free-threaded builds have no other; debug builds of it put something behind each block.
IS_MIMALLOC = 'mimalloc' in ALLOCATOR or bool(sysconfig.get_config_var('Py_GIL_DISABLED'))
PADDING = 8 if hasattr(sys, 'gettotalrefcount') else 0
# What debugging allocators put before and behind.
EXTRA = 24 if 'debug' in ALLOCATOR else 0
# Types of what belongs to an object.
APART = ('dict', 'tuple', 'frame', 'Element')


class Point(object):
    def __init__(self):
        self.x = 1
        self.y = 2
        self.z = 3


class Touched(Point):
    pass


class Many(object):
    def __init__(self):
        for name in NAMES:
            setattr(self, name, 1)


class Late(object):
    pass


class Slots(object):
    __slots__ = ('x', 'y', 'z')

    def __init__(self):
        self.x = self.y = self.z = 1


class Mixed(object):
    __slots__ = ('x', '__dict__', '__weakref__')

    def __init__(self):
        self.x = self.y = 1


class Rows(list):
    def __init__(self, items):
        list.__init__(self, items)
        self.name = 'rows'


class Text(str):
    __slots__ = ()


NAMES = ['name%d' % number for number in range(40)]
ITEMS = [number % 10 for number in range(100)]
TEXT = 'text' * 10


def touched():
    made = Touched()
    made.__dict__
    return made


def late():
    made = Late()
    made.__dict__.update(FEW)
    return made


FEW = {'x': 1, 'y': 2}


def emptied():
    made = collections.deque(ITEMS * 9)
    while made:
        made.pop()
    return made


def appended():
    made = []
    for item in ITEMS:
        made.append(item)
    return made


def removed():
    made = dict.fromkeys(NAMES)
    for name in NAMES[3:]:
        del made[name]
    return made


def generate(first, second):
    yield first
    yield second


def started():
    made = generate(1, ITEMS)
    next(made)
    return made


def written():
    made = StringIO()
    for _ in ITEMS:
        made.write(u'text')
    made.seek(2)
    made.write(u'T')
    return made


def element():
    made = Element('a')
    for _ in range(9):
        SubElement(made, 'b')
    return made


def parts(made):
    """The objects that it has apart, and it alone."""
    # 3.13 does not tell of a dict that has its values in the instance.
    if isinstance(made, (Touched, Late)):
        return [made.__dict__]
    return [part for part in gc.get_referents(made) if type(part).__name__ in APART]


# By name: how one is made.
KINDS = {
    'instance': Point,
    'instance_with_dict': touched,
    'instance_with_many': Many,
    'instance_with_late_attributes': late,
    'slots': Slots,
    'slots_and_dict': Mixed,
    'subclass_of_list': lambda: Rows(ITEMS),
    'subclass_of_str': lambda: Text(TEXT),
    'list': lambda: list(ITEMS),
    'appended_list': appended,
    'tuple': lambda: tuple(ITEMS),
    'dict': lambda: dict(FEW),
    'dict_of_numbers': lambda: dict.fromkeys(range(30)),
    'removed_from_dict': removed,
    'small_set': lambda: set(ITEMS[:3]),
    'set': lambda: set(range(50)),
    'frozenset': lambda: frozenset(range(9)),
    'str': lambda: TEXT * 3,
    'latin': lambda: u'\xe9' * len(ITEMS),
    'wide': lambda: u'\u20ac' * len(ITEMS),
    'bytes': lambda: b'x' * (100 + len(ITEMS)),
    'bytearray': lambda: bytearray(300),
    'int': lambda: 10 ** len(ITEMS),
    'float': lambda: len(ITEMS) / 7.0,
    'decimal': lambda: decimal.Decimal('1' * 200),
    'deque': lambda: collections.deque(ITEMS * 3),
    'emptied_deque': emptied,
    'OrderedDict': lambda: collections.OrderedDict.fromkeys(NAMES),
    'defaultdict': lambda: collections.defaultdict(list, FEW),
    'array': lambda: array.array('d', ITEMS),
    'StringIO': written,
    'permutations': lambda: itertools.permutations(ITEMS),
    'generator': started,
    'element': element,
    'method': lambda: ITEMS.append,
}


def spent(size):
    """What the allocators spend where so much was asked for: pymalloc, mimalloc, or the C library."""
    size += EXTRA
    if IS_MIMALLOC:
        size += PADDING
        # Four sizes for each power of two; each a multiple of 16.
        step = max(ALIGNMENT, 1 << max(0, (size - 1).bit_length() - 3))
        return 8 if size <= 8 else -(-size // step) * step
    if ALLOCATOR in ('', 'debug'):
        if size <= LARGEST:
            return -(-size // ALIGNMENT) * ALIGNMENT
        # It asks the allocator below it, of which debugging is made as well.
        size += EXTRA
    return max(-(-(size + 8) // 16) * 16, 32)


def made(make):
    """COUNT objects, and what was spent on them."""
    # What was freed and kept for the next object is used first; classes learn what their instances have.
    before = [make() for _ in range(COUNT)]
    objects = [None] * COUNT
    tracemalloc.clear_traces()
    for index in range(COUNT):
        objects[index] = make()
    traces = tracemalloc.take_snapshot().traces
    return before, objects, sum(spent(trace.size) for trace in traces)


gc.disable()
tracemalloc.start()
kept = []
lines = []
for name in sorted(KINDS):
    before, objects, total = made(KINDS[name])
    kept.append((before, objects))
    places = [id(one) for one in objects]
    for one in objects:
        places.extend(id(part) for part in parts(one))
    lines.append('%s %d %s' % (name, total, ' '.join(map(str, places))))
with open(sys.argv[1], 'w') as output:
    output.write('\n'.join(lines))
sys.stdout.write('%d kinds\n' % len(lines))
sys.stdout.flush()
signal.pause()
