"""What the user of a desktop node reads and types."""

from __future__ import annotations

import sys
import threading

from release import Kind

MENU = """\
=== Blockchain Node (Port {port}) ===
1. request (single)
2. release (single)
3. list reserved items
4. list available items
5. request (multiple)
6. connect to peer
7. list connected peers
8. sync chain from network (consensus)
9. report blockchain status
10. exit

select > """
DONE = {Kind.REQUEST: "✅ requested {}", Kind.RELEASE: "✅ released {}"}
REFUSED = {
    Kind.REQUEST: "❌ item {} is not available.",
    Kind.RELEASE: "❌ item {} is ready for request.",
}


class Console:
    """Whole lines out, answers in. A prompt stays open until its answer or the next line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prompt_open = False
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")

    def say(self, *lines: str) -> None:
        self._write("".join(line + "\n" for line in lines), prompt=False)

    def ask(self, prompt: str) -> str:
        self._write(prompt, prompt=True)
        answer = sys.stdin.readline()
        if not answer:
            raise EOFError
        if sys.stdin.isatty():  # the terminal's echo ended the line; a pipe has none
            self._prompt_open = False
        return answer.strip()

    def _write(self, text: str, prompt: bool) -> None:
        if not text:
            return
        with self._lock:
            sys.stdout.write("\n" + text if self._prompt_open else text)
            sys.stdout.flush()
            self._prompt_open = prompt
