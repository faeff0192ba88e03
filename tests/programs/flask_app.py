"""A Flask application: `flask run` serves each request in a thread of its own."""
from flask import Flask

from meeting import meet, spin

app = Flask(__name__)


@app.route('/compute/<int:rounds>')
def compute(rounds):
    return str(spin(rounds))  # computes


@app.route('/meet/<int:port>')
def welcome(port):
    return meet(port)  # meets
