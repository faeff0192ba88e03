"""How a profiler is to show a value: Python's own words for it, in double quotes, within a room.

Written after the interpreter's objects, not after any reader of memory: what the tests compare with.
"""
import sys
import types

PYTHON2 = sys.version_info[0] == 2
if PYTHON2:
    TEXT, BYTES, INTEGERS = unicode, str, (int, long)  # noqa: F821
else:
    TEXT, BYTES, INTEGERS = str, bytes, (int,)
BITS = getattr(sys, 'int_info', getattr(sys, 'long_info', None)).bits_per_digit
LIMIT_OF_BITS = 4096
BUILTINS = object.__module__
HEAP_TYPE = 1 << 9


def shown(value, limit, room=None, inside=()):
    """The text of `value` in `room` characters of text, `limit` of them in all."""
    room = limit if room is None else room
    if room <= 5:
        return '...'
    kind = type(value)
    if value is None or kind is bool or kind in (float, complex):
        return repr(value)
    if isinstance(value, INTEGERS):
        return integer(value, limit)
    if isinstance(value, TEXT):
        return ('u' if PYTHON2 else '') + quoted(value, room, readable_text)
    if isinstance(value, BYTES):
        return of_bytes(value, room)
    if kind is bytearray:
        return 'bytearray(b%s)' % quoted(bytes(value), room, readable_bytes)
    if isinstance(value, (list, tuple)) or kind in (set, frozenset):
        return sequence(value, limit, room, inside)
    if isinstance(value, dict) or kind.__name__ == 'frozendict':
        return dictionary(value, limit, room, inside)
    name = name_of(value)
    return '<%s%s at 0x%x>' % (type_name(kind), ' ' + name if name else '', id(value))


def integer(value, limit):
    bits = (value.bit_length() + BITS - 1) // BITS * BITS
    if bits > LIMIT_OF_BITS:
        return '<int of about %d bits at 0x%x>' % (bits, id(value))
    digits = str(value)
    return digits if len(digits) <= limit else '<int of %d digits at 0x%x>' % (len(digits.lstrip('-')), id(value))


def quoted(value, room, readable):
    """`room - 5` of what it is made of, between quotes."""
    rest = '...' if len(value) > room - 5 else ''
    return '"%s%s"' % (readable(value[:room - 5]), rest)


def readable_text(value):
    return ''.join(ESCAPES.get(ord(unit)) or escaped(unit) for unit in value)


def escaped(unit):
    code = ord(unit)
    if code < 0x20 or 0x7f <= code < 0xa0 or code == 0xad:
        return '\\x%02x' % code
    if 0xd800 <= code < 0xe000 or 0x200b <= code <= 0x200f or 0x2028 <= code <= 0x202e:
        return '\\u%04x' % code
    return unit


def readable_bytes(value):
    codes = bytearray(value)
    return ''.join(ESCAPES.get(code) or (chr(code) if 0x20 <= code < 0x7f else '\\x%02x' % code) for code in codes)


ESCAPES = {ord('"'): '\\"', ord('\\'): '\\\\', 10: '\\n', 13: '\\r', 9: '\\t'}


def of_bytes(value, room):
    if not PYTHON2:
        return 'b' + quoted(value, room, readable_bytes)
    try:
        return quoted(value.decode('utf-8'), room, readable_text)
    except UnicodeDecodeError:
        return quoted(value, room, readable_bytes)


def sequence(value, limit, room, inside):
    opened, closed = {list: '[]', tuple: '()', set: '{}'}.get(type(value), ('frozenset({', '})'))
    for base, signs in ((list, '[]'), (tuple, '()')):
        if isinstance(value, base):
            opened, closed = signs
    if not value and type(value) in (set, frozenset):
        return type(value).__name__ + '()'
    items, left = [], room - 2
    for item in [] if any(value is outer for outer in inside) else value:
        text = shown(item, limit, left, inside + (value,))
        left -= len(text.encode('utf-8', 'replace')) + 2
        if left <= 5:
            break
        items.append(text)
    if len(items) < len(value):
        items.append('...')
    elif isinstance(value, tuple) and len(items) == 1:
        closed = ',)'
    return opened + ', '.join(items) + closed


def dictionary(value, limit, room, inside):
    items, left = [], room - 2
    # A dict's own order: an OrderedDict has another one in 2.7.
    keys = dict.__iter__(value) if isinstance(value, dict) else iter(value)
    for key in [] if any(value is outer for outer in inside) else keys:
        texts = [shown(part, limit, left, inside + (value,)) for part in (key, value[key])]
        left -= sum(len(text.encode('utf-8', 'replace')) for text in texts) + 4
        if left <= 5:
            break
        items.append(': '.join(texts))
    if len(items) < len(value):
        items.append('...')
    return ('frozendict({%s})' if not isinstance(value, dict) else '{%s}') % ', '.join(items)


def type_name(kind):
    """The type as C knows it: with its module, unless Python code made it or it is built in."""
    name, module = kind.__name__, kind.__module__
    return name if kind.__flags__ & HEAP_TYPE or module == BUILTINS else '%s.%s' % (module, name)


def name_of(value):
    if isinstance(value, types.MethodType):
        return name_of(value.__func__)
    if isinstance(value, types.CodeType):
        return getattr(value, 'co_qualname', value.co_name)
    if isinstance(value, (types.BuiltinFunctionType, types.ModuleType)):
        return value.__name__
    if isinstance(value, type):
        return type_name(value)
    if isinstance(value, (types.FunctionType, types.GeneratorType)):
        return getattr(value, '__qualname__', None if isinstance(value, types.GeneratorType) else value.__name__)
    return None
