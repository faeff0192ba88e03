"""heap_alternatives.py FILE: makes a thousand instances with each number of attributes in each way there is, writes to FILE a line for
each: the way, how many attributes, and the addresses of the instances; says so, and waits.
"""
import collections
import signal
import sys

COUNT = 1000
kept = []
lines = []


def keep(way, attributes, instances):
    kept.append(instances)
    lines.append('%s %d %s' % (way, attributes, ' '.join([str(id(one)) for one in instances])))


def plain(name, attributes):
    def init(self, values):
        for attribute, value in zip(attributes, values):
            setattr(self, attribute, value)
    return type(name, (object,), {'__init__': init, '__module__': '__main__'})


for number in list(range(1, 10)) + [20]:
    attributes = ['a%d' % index for index in range(number)]
    values = [None] * number
    Plain = plain('Plain%d' % number, attributes)
    Slots = type('Slots%d' % number, (object,), {'__slots__': attributes})
    Named = collections.namedtuple('Named%d' % number, attributes)
    keep('plain', number, [Plain(values) for _ in range(COUNT)])
    keep('slots', number, [Slots() for _ in range(COUNT)])
    keep('namedtuple', number, [Named(*values) for _ in range(COUNT)])
    keep('tuple', number, [tuple(values) for _ in range(COUNT)])
    try:
        import recordclass
    except ImportError:
        continue
    Record = recordclass.make_dataclass('Record%d' % number, attributes)
    keep('recordclass', number, [Record(*values) for _ in range(COUNT)])

Touched = plain('Touched', ['x', 'y', 'z'])
touched = [Touched([1, 2, 3]) for _ in range(COUNT)]
for one in touched:
    vars(one)
keep('touched', 3, touched)
keep('dict-of-touched', 3, [vars(one) for one in touched])
try:
    import dataclasses
except ImportError:
    pass
else:
    Data = dataclasses.make_dataclass('Data', ['x', 'y'])
    Data.__module__ = '__main__'
    keep('data', 2, [Data(1, 2) for _ in range(COUNT)])
with open(sys.argv[1], 'w') as output:
    output.write('\n'.join(lines))
sys.stdout.write('ready\n')
sys.stdout.flush()
signal.pause()
