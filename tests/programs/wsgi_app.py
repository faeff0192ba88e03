"""A WSGI application: what gunicorn and uWSGI serve."""
from meeting import company, is_open, meet, spin


def compute(rounds):
    return spin(rounds)  # computes


def welcome(port):
    return meet(port)  # meets


def stay(port):
    """Computes as long as the test stays."""
    connection = company(port)
    while is_open(connection):
        spin(10000)
    return 'stayed'


def application(environ, start_response):
    _, action, argument = environ['PATH_INFO'].split('/')
    answer = {'compute': compute, 'meet': welcome, 'stay': stay}[action](int(argument))
    body = str(answer).encode()
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
