"""Listens where code under test must not get, and writes down what came: to the file that is named."""

import os
import selectors
import socket
import sys

PORT = 4777
inet, unix = (socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_UNIX, "/github/runner_temp/socket")
waiting = selectors.DefaultSelector()
for kind, (family, address) in [
    (socket.SOCK_STREAM, inet),
    (socket.SOCK_DGRAM, inet),
    (socket.SOCK_STREAM, unix),
    (socket.SOCK_STREAM, (socket.AF_UNIX, "\0probe")),
]:
    listener = socket.socket(family, kind)
    listener.bind(address)
    if kind == socket.SOCK_STREAM:
        listener.listen()
    waiting.register(listener, selectors.EVENT_READ, repr((kind, address)))
os.chmod(unix[1], 0o777)
arrived = open(sys.argv[1], "a", buffering=1)
print("listening", file=arrived)
while True:
    for key, _ in waiting.select():
        print(key.data, file=arrived)
        if key.fileobj.type == socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            key.fileobj.recv(100)
