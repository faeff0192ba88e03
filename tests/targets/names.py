# -*- coding: utf-8 -*-
"""names.py [odd]: letters of one, two and four bytes, lambdas, comprehensions, class bodies, exec'd source.

`odd` adds names that a collapsed stack cannot hold."""
import sys
import threading

from witness import Chain

chain = Chain()
onward = chain.onward
PYTHON3 = sys.version_info[0] >= 3


def define(source, filename='<string>', name=None):
    """Compiles `source` as if it stood in `filename` and makes what it defines as `name` the next link."""
    namespace = {'onward': onward}
    exec(compile(source, filename, 'exec'), namespace)
    chain.link(namespace[name or 'link'])


chain.link(lambda: onward())
chain.link(lambda: [onward() for _ in range(1)])
chain.link(lambda: {onward() for _ in range(1)})
chain.link(lambda: {0: onward() for _ in range(1)})
chain.link(lambda: list(onward() for _ in range(1)))
chain.link(lambda: [[onward() for _ in range(1)] for _ in range(1)])
chain.link(lambda: (lambda: onward())())


@chain.link
def class_body():
    class Body(object):
        class Inner(object):
            onward()


define('def link():\n    onward()\n')
define('def link():\n    exec("onward()", {"onward": onward})\n')
define('def link():\n    eval("onward()", {"onward": onward})\n')
if 'odd' in sys.argv:
    define('def link():\n    onward()\n', '')
    define('def link():\n    onward()\n', '<a file; with (odd:1) "characters" \t \\ \x01>')
define('def link():\n    onward()\n', '/' + 'a_long_folder_name/' * 12 + 'file.py')
define('def %s():\n    onward()\n' % ('n' * 300), name='n' * 300)
if PYTHON3:
    define('def größe():\n    onward()\n', '/tmp/größe.py', 'größe')
    define('def число():\n    onward()\n', '/tmp/число/数.py', 'число')
    define('def 数():\n    class Κλάση:\n        def ή(self):\n            onward()\n    Κλάση().ή()\n', '<数>', '数')
    define('def \U00020000():\n    onward()\n', '<\U00020000\U0001f40d>', '\U00020000')
    threading.current_thread().name = 'нить \U0001f40d'
else:
    define('def link():\n    onward()\n', '/tmp/größe/数.py')

onward()
