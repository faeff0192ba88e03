"""cells.py: what of IPython knows the numbers of a notebook's cells, and their source, without IPython."""
import linecache
import sys
import types

from testimony import report


class SingletonConfigurable(object):
    _instance = None


class InteractiveShell(SingletonConfigurable):
    def __init__(self):
        # More than fit into an array of values: a real shell has a hundred.
        for number in range(60):
            setattr(self, 'attribute_%d' % number, number)
        self.compile = CachingCompiler()


class CachingCompiler(object):
    def __init__(self):
        self._filename_map = {}

    def cache(self, filename, number):
        self._filename_map[filename] = number


def import_fake(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


import_fake('IPython')
import_fake('IPython.core')
import_fake('IPython.core.interactiveshell', InteractiveShell=InteractiveShell)
shell = InteractiveShell()
SingletonConfigurable._instance = InteractiveShell._instance = shell
for number in range(1, 31):
    shell.compile.cache('/tmp/ipykernel_4711/%d.py' % (number * 1000), number)
    # As IPython does it.
    lines = ['def cell():\n', '    return %d\n' % number]
    linecache.cache['/tmp/ipykernel_4711/%d.py' % (number * 1000)] = (20, None, lines, 'cell')
# The same code once more, and a name that is none of a file.
shell.compile.cache('/tmp/ipykernel_4711/7000.py', 31)
shell.compile.cache(7, '/tmp/ipykernel_4711/7000.py')
linecache.cache['lazy'] = (lambda: None,)
report([])
sys.stdin.read()
