"""heap_subinterpreters.py: makes a thousand points in its own interpreter and in two others; says how many interpreters there are, and
waits.
"""
import signal
import sys

try:
    import _interpreters as interpreters  # 3.13 and later
except ImportError:
    import _xxsubinterpreters as interpreters

POINTS = """
class Point:
    def __init__(self, number):
        self.number = number


points = [Point(number) for number in range(1000)]
"""

others = [interpreters.create() for _ in range(2)]
for other in others:
    getattr(interpreters, 'exec', interpreters.run_string)(other, POINTS)
exec(POINTS)
sys.stdout.write('%d interpreters\n' % len(interpreters.list_all()))
sys.stdout.flush()
signal.pause()
