"""tracing.py trace|profile: stands inside the function that sys.settrace or sys.setprofile calls."""
import sys

from witness import stand


def observer(frame, event, argument):
    if frame.f_code is traced.__code__ and event == sys.argv[2]:
        (sys.settrace if sys.argv[1] == 'trace' else sys.setprofile)(None)
        stand()
    return observer


def traced():
    value = 1
    value += len('x')
    return value


def caller():
    (sys.settrace if sys.argv[1] == 'trace' else sys.setprofile)(observer)
    traced()


caller()
