"""Where a program meets the test: in the middle of its work it says what it stands in, and waits until it was
looked at."""
import json
import os
import select
import socket
import sys
import threading

from testimony import stack_of


def meet(port):
    """Connects to the test, testifies, and waits until the test lets go."""
    connection = socket.create_connection(('127.0.0.1', int(port)))
    connection.recv(testify(connection))
    connection.close()
    return 'met'


def company(port):
    """The same for who has to work as long as the test is there: the test lets go with a byte, and hangs up later."""
    connection = socket.create_connection(('127.0.0.1', int(port)))
    connection.recv(testify(connection))
    return connection


def is_open(connection):
    """Whether the test has not hung up."""
    return not select.select([connection], [], [], 0)[0]


def testify(connection, size=1):
    """Sends what the caller stands in; returns the argument of the very call that it is going to wait in."""
    thread = threading.current_thread()
    own = {'thread_id': thread.ident, 'native_id': threading.get_native_id(), 'name': thread.name, 'idle': True,
           'stacks': [stack_of(sys._getframe(1))]}
    message = {'pid': os.getpid(), 'version': list(sys.version_info[:3]), 'threads': [own]}
    connection.sendall((json.dumps(message) + '\n').encode())
    return size


def spin(rounds):
    """The sum of the squares below `rounds`: work whose result the test knows."""
    total = 0
    for number in range(rounds):
        total += number * number
    return total
