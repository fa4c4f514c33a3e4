#!/usr/bin/env python3
"""Starts a node as a service manager does, waits until it is ready, and ends it again.

    cross/ready.py COMMAND [ARGUMENT]...

The command gets /dev/null as its standard input, and a notify socket. It has to say that it is
ready, and to end in order when it is told to.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile

# Seconds, also for a machine that is emulated.
LIMIT = 120


def main():
    with tempfile.TemporaryDirectory() as folder:
        # The node may be another user.
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(path)
        os.chmod(path, 0o666)
        manager.settimeout(0.2)
        environment = dict(os.environ, NOTIFY_SOCKET=path)
        node = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, env=environment)
        try:
            await_line(manager, node, "READY=1")
            node.send_signal(signal.SIGTERM)
            await_line(manager, node, "STOPPING=1")
            code = node.wait(LIMIT)
        finally:
            node.kill()
        if code != 0:
            sys.exit(f"ready.py: the node ended with {code}")


def await_line(manager, node, wanted):
    """Shows what the node tells until it is `wanted`."""
    for _ in range(LIMIT * 5):
        ended = node.poll() is not None
        try:
            lines = manager.recv(4096).decode().splitlines()
        except TimeoutError:
            if ended:
                break
            continue
        for line in lines:
            print(f"  {line}")
        if wanted in lines:
            return
    sys.exit(f"ready.py: the node did not say {wanted}")


main()
