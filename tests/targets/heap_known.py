"""heap_known.py COUNT FILE: makes COUNT objects of known types, writes to FILE what there is by its own count, as JSON
{"made": {type: count}, "tracked": {type: count}, "blocks": sys.getallocatedblocks()}, says so, and waits.
"""
import collections
import gc
import json
import signal
import sys

COUNT = int(sys.argv[1])


class Point(object):
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Slots(object):
    __slots__ = ('x', 'y', 'z')

    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z


class Derived(Point):
    pass


class Number(int):
    pass


class Name(str):
    pass


class Rows(list):
    pass


Pair = collections.namedtuple('Pair', 'left right')

kept = []
made = {}


def keep(name, objects):
    kept.append(objects)
    made[name] = len(objects)


def named(kind):
    if kind.__module__ in ('builtins', '__builtin__'):
        return kind.__name__
    return '%s.%s' % (kind.__module__, getattr(kind, '__qualname__', kind.__name__))


keep('__main__.Point', [Point(i, i + 1, i + 2) for i in range(COUNT)])
keep('__main__.Slots', [Slots(i, i + 1, i + 2) for i in range(COUNT)])
keep('__main__.Derived', [Derived(i, i + 1, i + 2) for i in range(COUNT // 2)])
keep('__main__.Pair', [Pair(i, i + 1) for i in range(COUNT)])
keep('__main__.Number', [Number(i) for i in range(COUNT // 3)])
keep('__main__.Name', [Name('name-%d' % i) for i in range(COUNT // 3)])
keep('__main__.Rows', [Rows(range(i % 50)) for i in range(COUNT // 10)])
keep('bytearray', [bytearray(i % 400) for i in range(COUNT // 10)])
keep('complex', [complex(i, 1) for i in range(COUNT // 5)])

# What counting and writing need is there before it is counted.
json.dump(collections.Counter(map(str, made)), open(sys.argv[2], 'w'))
gc.collect()
gc.disable()
tracked = collections.Counter(map(type, gc.get_objects()))
truth = {
    'made': made,
    'tracked': {named(kind): count for kind, count in tracked.items()},
    'blocks': getattr(sys, 'getallocatedblocks', lambda: None)(),
}
with open(sys.argv[2], 'w') as output:
    json.dump(truth, output)
del tracked, truth
# What writing JSON has left.
gc.collect()
if hasattr(sys, '_debugmallocstats'):
    sys._debugmallocstats()
print('ready')
sys.stdout.flush()
signal.pause()
