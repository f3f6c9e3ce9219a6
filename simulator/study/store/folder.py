"""The folder of a store: which files in it are its own, one writer at a time, and files that are whole or not there."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO
from uuid import uuid4

from simulator.errors import ConfigError
from simulator.files import reason

LOCK = ".tiersim.lock"
UNFINISHED = re.compile(r"\.tiersim-[0-9a-f]{32}\.tmp")
SHOWN = 5  # names of files, in a message


def refuse_foreign(folder: Path) -> None:
    """Nothing where a folder is not there, or holds nothing but what an ended run left there.

    Raises:
        ConfigError: it holds something else.
    """
    with suppress(FileNotFoundError):
        names = sorted(name for name in os.listdir(folder) if not _passing(name))
        if names:
            shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
            expected = "an empty folder, or one that was written by this command"
            raise ConfigError("the folder holds something else", file=folder, found=shown, expected=expected)


def remove_unfinished(folder: Path) -> None:
    """Remove what ended runs left half written; only the holder of the lock may, for only it writes."""
    for name in os.listdir(folder):
        if UNFINISHED.fullmatch(name):
            (folder / name).unlink(missing_ok=True)


def _passing(name: str) -> bool:
    return name == LOCK or UNFINISHED.fullmatch(name) is not None


def write_whole(path: Path, data: Iterable[bytes | memoryview]) -> None:
    """Write a file from its pieces, that is there whole or not at all, and stays when the machine goes down.

    Raises:
        ConfigError: it cannot be written: a full disk, say.
    """
    unfinished = path.with_name(f".tiersim-{uuid4().hex}.tmp")
    try:
        try:
            with unfinished.open("xb") as file:
                file.writelines(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write it: {reason(error)}", file=path) from None


def locked(folder: Path) -> IO[bytes]:
    """The lock of a folder, held until closed or until this process ends, however it ends.

    Raises:
        ConfigError: another run holds it; it cannot be written.
    """
    lock = (folder / LOCK).open("a+b", buffering=0)
    try:
        _lock(lock)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().decode(errors="replace").strip() or "it does not say which"
        lock.close()
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise ConfigError(f"the file system of the folder has no locks: {error.strerror}", file=folder) from None
        raise ConfigError(f"another run writes to the folder: {holder}", file=folder) from None
    with suppress(OSError):  # on a full disk it does not say who holds it
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    return lock


def _lock(file: IO[bytes]) -> None:
    try:
        fcntl = import_module("fcntl")
    except ImportError:  # Windows: a byte far behind the text, which others can read then
        msvcrt = import_module("msvcrt")
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
