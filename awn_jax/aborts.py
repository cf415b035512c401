"""One line in place of the pages with which JAX's service for several processes ends them.

That service is C++. Once it takes another process for lost it calls abort() from a thread of its own, and no Python code is
asked first: so what it prints is kept back, and the last word is said where the signal of abort() arrives.
"""

import atexit
import ctypes
import itertools
import os
import re
import signal
import sys
import threading

# How C++ begins a line of its log: "E1125 10:37:19.777174   24815 coordination_service.cc:1520] ".
_RECORD = re.compile(rb"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w./]+):\d+\]", re.MULTILINE)
_SERVICE = re.compile(rb"coordination_service|preemption_sync|add_port|client\.(h|cc)$")
_GIVEN_UP = b"JAX distributed service detected fatal errors"
_SECONDS = 0.5

_reason = ""
_kept: "_Kept | None" = None


def explain(reason: str) -> None:
    """Says from now on why the service ends this process, if it does; does nothing on a system without `memfd_create`.

    Args:
        reason: one line.
    """
    global _reason, _kept
    _reason = reason
    if _kept is None and hasattr(os, "memfd_create"):
        _kept = _Kept()


class _Kept:
    """Standard error of C++, kept in memory and passed on soon, without what the service says; Python's goes where it went."""

    def __init__(self) -> None:
        self._memory, self._passed, self._hides = os.memfd_create("stderr"), 0, False
        self._lock = threading.Lock()
        sys.stderr.flush()
        self._real = os.dup(2)
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="replace")
        os.dup2(self._memory, 2)
        threading.Thread(target=self._go_on, daemon=True).start()
        atexit.register(self._pass_on)
        # Kept alive here: C calls it.
        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._on_abort)
        self._signal = ctypes.CDLL(None).signal
        self._signal.restype = ctypes.c_void_p
        self._signal(int(signal.SIGABRT), self._handler)

    def _go_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(_SECONDS):
            self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            new = os.pread(self._memory, 1 << 20, self._passed)
            self._passed += len(new)
            starts = [0, *(match.start() for match in _RECORD.finditer(new)), len(new)]
            for begin, end in itertools.pairwise(starts):
                # A line without such a beginning belongs to the one before it.
                if record := _RECORD.match(new[begin:end]):
                    self._hides = bool(_SERVICE.search(record[1]))
                if not self._hides:
                    os.write(self._real, new[begin:end])

    def _on_abort(self, number: int) -> None:
        said = os.pread(self._memory, 1 << 24, 0)
        if _GIVEN_UP in said:
            os.write(self._real, f"error: {_reason}\n".encode())
            os._exit(1)
        # Some other abort: it goes its way when this returns.
        os.write(self._real, said[self._passed :])
        self._signal(int(signal.SIGABRT), None)
