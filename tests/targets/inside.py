"""What subinterpreters.py runs inside a subinterpreter: each function stands or spins there and testifies for it.

`thread` describes the OS thread, `outer` are the frames of the interpreter it came from; `tells` and `stands` are
the pipes to tell the main interpreter and to stand still in.
"""
import os
import sys
import threading

from testimony import report, stack_of, tell


def spin():
    while True: pass


def told(thread, outer, tells, stands):
    tell(dict(thread, stacks=[stack_of(sys._getframe(1)) + outer]), tells)
    return stands


def reported(thread, outer):
    report([dict(thread, stacks=[stack_of(sys._getframe(1)) + outer])])
    return 0


def nested(thread, outer, tells, stands):
    os.read(reported(thread, outer), 1)


def thread(thread, outer, tells, stands):
    os.read(told(thread, outer, tells, stands), 1)


def body_of_inner_thread(tells, stands):
    me = threading.current_thread()
    description = {'thread_id': me.ident, 'native_id': threading.get_native_id(), 'name': me.name, 'idle': True}
    os.read(told(description, [], tells, stands), 1)


def inner_thread(thread, outer, tells, stands):
    threading.Thread(target=body_of_inner_thread, args=(tells, stands), name='inside').start()


def two_gils(thread, outer, tells, stands):
    first = spin.__code__.co_firstlineno
    running = dict(stack_of(sys._getframe())[0], name='spin', lines=[first, first + 1])
    told_and_spinning(running, thread, outer, tells)


def told_and_spinning(running, thread, outer, tells):
    tell(dict(thread, stacks=[[running] + stack_of(sys._getframe()) + outer]), tells); spin()
