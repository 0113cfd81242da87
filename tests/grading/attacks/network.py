"""Programs that want to speak with somebody."""

from __future__ import annotations

from attacks.attack import attack, if_it_works

NETWORK = [
    attack(
        "connect",
        "connects to a port of this machine",
        if_it_works("import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).close()"),
    ),
    attack("listen", "opens a port", if_it_works("import socket\nsocket.create_server(('127.0.0.1', 0)).close()")),
    attack(
        "datagram",
        "sends one",
        if_it_works(
            "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))"
        ),
    ),
    attack(
        "resolve a name",
        "asks for an address",
        if_it_works("import urllib.request\nurllib.request.urlopen('http://localhost:{port}', timeout=2)"),
    ),
    attack("local socket", "makes a Unix socket", if_it_works("import socket\nsocket.socket(socket.AF_UNIX).close()")),
]
