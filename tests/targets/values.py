# -*- coding: utf-8 -*-
"""values.py LIMIT all|mixed|large|deep|numpy: frames with a variable of every type, told with what each is to be shown as."""
import collections
import os
import sys

from shown import PYTHON2, shown
from testimony import name_of, report
from witness import native_id, thread_name

try:
    from thread import get_ident
except ImportError:
    from _thread import get_ident

LIMIT = int(sys.argv[1])


class Plain(object):
    def __init__(self, value):
        self.value = value

    def method(self, number):
        doubled = number * 2
        return self.of_class(doubled)

    @classmethod
    def of_class(cls, number):
        return generating(cls, number)


class Slotted(object):
    __slots__ = ('value',)


class OldStyle:
    pass


class MyInt(int):
    pass


class MyText(str):
    pass


class MyList(list):
    pass


class MyTuple(tuple):
    pass


class MyDict(dict):
    pass


class MyFloat(float):
    pass


# Names that a reader could take for the interpreter's own types.
Fake = type('float', (object,), {'__slots__': ()})
FakeScalar = type('numpy.int8', (object,), {})
Pair = collections.namedtuple('Pair', 'left right')


def variables(frame):
    """What is bound in `frame`: nothing of a module, whose variables are its globals."""
    if frame.f_locals is frame.f_globals or frame.f_code.co_name == '<module>':
        return []
    code = frame.f_code
    arguments = code.co_varnames[:code.co_argcount]
    bound = dict(frame.f_locals)
    # A class body does not tell what it uses of the function around it.
    bound.update((name, frame.f_back.f_locals[name]) for name in code.co_freevars if name not in bound)
    return [{'name': name, 'arg': name in arguments, 'addr': id(value), 'repr': shown(value, LIMIT)}
            for name, value in bound.items()]


def stand_and_tell(frame):
    frames = []
    while frame is not None:
        code = frame.f_code
        frames.append({'name': name_of(code), 'filename': code.co_filename, 'line': frame.f_lineno,
                       'locals': variables(frame)})
        frame = frame.f_back
    report([{'thread_id': get_ident(), 'native_id': native_id(), 'name': thread_name(get_ident()), 'idle': True,
             'stacks': [frames]}])
    return 0


def stand():
    os.read(stand_and_tell(sys._getframe()), 1)
    os._exit(0)


def numbers():
    nothing, yes, no = None, True, False
    zero, one, minus = 0, 1, -1
    small, digit, two_digits = 2 ** 15, 2 ** 30 - 1, -2 ** 30
    word, minus_word, more = 2 ** 63 - 1, -2 ** 63, 2 ** 64
    hundred, long_int, minus_long, huge = 10 ** 100, 10 ** 200, -10 ** 126, 1 << 5000
    half, whole, tiny, large, tenth, many = 1.5, 100.0, 1e-7, 1e300, 0.1, 1234567890123456.7
    negative_zero, infinite, none = -0.0, float('-inf'), float('nan')
    complexes = [1 + 2j, 2.5j, complex(-0.0, 1), complex(1e20, float('nan'))]
    mine, float_of_mine, fake, fake_scalar = MyInt(5), MyFloat(2.5), Fake(), FakeScalar()
    return texts()


def texts():
    empty, plain, quotes = '', 'abc', 'a"b\'c'
    lines, controls, nul = 'a\nb\r\tc\\d', 'a\x01\x1b[31m\x7f', 'a\0b'
    latin, wide, astral = u'h\xe9llo', u'\u4e2d\u6587', u'\U0001f600x'
    turned = u'a\u202eb\u200b'
    lone = u'a\ud800b'
    fits, too_long, wide_long = 'x' * (LIMIT - 5), 'x' * (LIMIT - 4), u'\u4e2d' * 5000
    data, empty_data, long_data = b'bytes\x00\xff"', b'', bytes(bytearray(range(256)))
    array, no_array, moved = bytearray(b'hello\n'), bytearray(), bytearray(b'front')
    del moved[:2]
    mine = MyText('mine')
    utf8, latin1 = u'h\xe9llo\u4e2d'.encode('utf-8'), u'h\xe9llo'.encode('latin-1')
    return containers()


def containers():
    empties = [[], (), {}, set(), frozenset()]
    items, single, pair = [1, 'two', 3.0, None], (1,), (1, 2)
    nested = [[1, [2, [3, [4, {'five': (6,)}]]]]]
    long_list, long_tuple, wide_items = list(range(200)), tuple(range(200)), ['x' * 30] * 20
    too_wide, at_the_edge = ['x' * 1000], ['x' * (LIMIT - 12), 'y']
    mapping, numbered = {'a': 1, 2: 'b', (3,): None}, dict((number, number) for number in range(200))
    emptied = dict(('key%d' % number, number) for number in range(40))
    for number in range(35):
        del emptied['key%d' % number]
    some, frozen, many = set([1, 'two', (3,)]), frozenset(['one']), set(range(100))
    removed = set(range(20))
    for number in range(17):
        removed.discard(number)
    attributes = Plain(1)
    attributes.more = [2]
    of_object = attributes.__dict__
    in_itself, map_of_itself = [1], {}
    in_itself.append(in_itself)
    map_of_itself['self'] = map_of_itself
    tuple_of_itself = ([],)
    tuple_of_itself[0].append(tuple_of_itself)
    my_list, my_tuple, my_dict = MyList([1]), MyTuple((1,)), MyDict(a=1)
    named, ordered = Pair(1, 'two'), collections.OrderedDict([('b', 1), ('a', 2)])
    counted, default = collections.Counter('aab'), collections.defaultdict(int, a=1)
    try:
        frozen_mapping = frozendict(a=1)  # 3.15
    except NameError:
        pass
    return objects()


def objects():
    plain, slotted, old, nothing = Plain(1), Slotted(), OldStyle(), object()
    function, unnamed, builtin, method = objects, lambda: 0, len, plain.method
    kind, builtin_kind, module, code = Plain, int, os, objects.__code__
    error, ellipsis, part, numbers = ValueError('x'), Ellipsis, slice(1, 2), iter([1])
    generator = (number for number in [1])
    return arguments(1, 'two', 3, 4, five=5)


def arguments(first, second='default', *rest, **named):
    local = first
    return owner(local, 'late')


def owner(argument, other):
    kept, counted = 'kept', [argument]

    def inner(own):
        counted.append(own)
        return comprehension(own, lambda: (kept, argument))
    return inner(2)


def comprehension(number, keep):
    unbound = number
    del unbound
    return [Plain(each).method(each) for each in (number,)]


def generating(cls, number):
    def generator(start):
        count = start
        yield body(count)
    for value in generator(number):
        return value


def body(count):
    class Body(object):
        attribute = count
        other = 'x'
        stand()


def large():
    text, wide = 'x' * (100 << 20), u'\u4e2d' * (10 << 20)
    data = bytearray(100 << 20)
    items, mapping = list(range(10 ** 6)), dict((number, None) for number in range(10 ** 6))
    members = set(range(10 ** 6))
    number = 1 << 10 ** 6
    in_itself = []
    in_itself.append(in_itself)
    stand()


def deep():
    """Containers whose text cannot be made in the time there is: only that something is shown is told."""
    nested, keyed, doubled = [], {}, [0]
    for _ in range(100000):
        nested = [nested]
    for _ in range(10000):
        keyed = {1: keyed}
    for _ in range(100):
        doubled = [doubled, doubled]
    report([{'thread_id': get_ident(), 'native_id': native_id(), 'name': thread_name(get_ident()), 'idle': True,
             'stacks': [[]]}])
    os.read(0, 1)
    os._exit(0)


def scalars():
    import numpy
    yes, no = numpy.bool_(True), numpy.bool_(False)
    int8, int16, int32, int64 = numpy.int8(-3), numpy.int16(-300), numpy.int32(-70000), numpy.int64(-2 ** 40)
    uint8, uint16, uint32 = numpy.uint8(200), numpy.uint16(60000), numpy.uint32(2 ** 31 + 5)
    uint64, longlong = numpy.uint64(2 ** 63 + 5), numpy.longlong(-5)
    float16, float32, float64 = numpy.float16(0.1), numpy.float32(1.1), numpy.float64(1.1)
    long_double, exact_long_double = numpy.longdouble(1) / 3, numpy.longdouble(1.5)
    complex64, complex128 = numpy.complex64(1.5 + 2j), numpy.complex128(1 + 2j)
    matrix, scalar, records = numpy.zeros((3, 4), 'int16'), numpy.array(5.0), numpy.zeros(2, [('a', 'i4')])
    foreign, texts = numpy.zeros(3, '>i2'), numpy.array(['a', 'b'])
    stand_with_numpy(numpy)


def stand_with_numpy(numpy):
    """NumPy's own words: numbers as Python's, arrays with shape and type."""
    import shown as module
    plain = module.shown

    def with_numpy(value, limit, *rest):
        if isinstance(value, numpy.longdouble):
            exact = float(value) == value
            return repr(float(value)) if exact else '<%s at 0x%x>' % (module.type_name(type(value)), id(value))
        if isinstance(value, numpy.generic):
            short = value.item() if value.dtype.itemsize > 4 or value.dtype.kind not in 'fc' else float(str(value))
            short = complex(str(value)) if value.dtype.kind == 'c' else short
            return repr(short).rstrip('L')
        if isinstance(value, numpy.ndarray):
            foreign = '>' if value.dtype.byteorder == '>' else ''
            name = {'V': 'void', 'U': 'str', 'S': 'bytes'}.get(value.dtype.kind, value.dtype.name)
            return '<numpy.ndarray %r %s%s at 0x%x>' % (value.shape, foreign, name, id(value))
        return plain(value, limit, *rest)
    global shown
    shown = with_numpy
    os.read(stand_and_tell(sys._getframe(1)), 1)
    os._exit(0)


def mixed(argument=1):
    """A little of everything, to be read over and over."""
    number, real, text, data = 10 ** 30, 1.5, u'h\xe9\u4e2d', b'\xff'
    items, pair, mapping, members = [1, 'two'], (1, None), {'a': True}, set([3])
    plain, function, module = Plain(1), mixed, os

    class Body(object):
        attribute = argument
        stand()


{'all': numbers, 'mixed': mixed, 'large': large, 'deep': deep, 'numpy': scalars}[sys.argv[2]]()
