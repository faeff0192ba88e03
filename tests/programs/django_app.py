"""A Django project in one file: `python django_app.py runserver`."""
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path

from meeting import meet, spin

settings.configure(
    ALLOWED_HOSTS=['127.0.0.1'],
    DEBUG=True,
    MIDDLEWARE=['django.middleware.common.CommonMiddleware', 'django.middleware.gzip.GZipMiddleware'],
    ROOT_URLCONF=__name__,
    SECRET_KEY='for tests only',
)


def compute(request, rounds):
    return HttpResponse(str(spin(rounds)))  # computes


def welcome(request, port):
    return HttpResponse(meet(port))  # meets


urlpatterns = [path('compute/<int:rounds>', compute), path('meet/<int:port>', welcome)]

if __name__ == '__main__':
    execute_from_command_line(sys.argv)
