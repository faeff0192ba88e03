"""How a target tells the test what it stands in. Imports so little that a subinterpreter can use it too."""
import itertools
import json
import os
import sys


def name_of(code):
    """The name a profiler shows: qualified where the code object knows it (3.11 and later)."""
    return getattr(code, 'co_qualname', code.co_name)


def class_of(frame):
    """The class whose method runs, where the code object does not know it: by what `self` or `cls` is bound to."""
    code = frame.f_code
    receiver = code.co_varnames[0] if code.co_argcount else None
    if hasattr(code, 'co_qualname') or receiver not in ('self', 'cls') or receiver not in frame.f_locals:
        return None
    bound = frame.f_locals[receiver]
    if receiver == 'self':
        # 2.7's classes that do not inherit from `object` share one type for their instances.
        return None if type(bound).__name__ == 'instance' else type(bound).__name__
    return bound.__name__ if isinstance(bound, type) else None


def position_of(frame):
    """What the frame executes, [line, end_line, column, end_column]; None where the interpreter does not know."""
    if not hasattr(frame.f_code, 'co_positions'):
        return None
    position = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    return None if None in position else position


def stack_of(frame):
    """The frames from `frame` outwards, innermost first."""
    frames = []
    while frame is not None:
        code = frame.f_code
        frames.append({'name': name_of(code), 'filename': code.co_filename, 'line': frame.f_lineno})
        if 'TESTIFY_CLASSES' in os.environ and class_of(frame):
            frames[-1]['name'] = class_of(frame) + '.' + code.co_name
        if 'TESTIFY_POSITIONS' in os.environ:
            frames[-1]['position'] = position_of(frame)
        frame = frame.f_back
    return frames


def tell(message, file=1):
    """Writes one line of JSON, whole."""
    data = (json.dumps(message) + '\n').encode('utf-8')
    while data:
        data = data[os.write(file, data):]


def report(threads):
    """Prints the testimony the test waits for."""
    gil = getattr(sys, '_is_gil_enabled', lambda: True)()
    tell({'pid': os.getpid(), 'version': list(sys.version_info[:3]), 'gil': gil, 'threads': threads})


def unsupported(reason):
    """Ends a target whose feature this interpreter does not have."""
    tell({'unsupported': reason})
    os._exit(0)
