"""A machine behind the system's own OpenSSH: its configuration, agent, jump hosts and host keys are the user's."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from edgekd.base.errors import DeviceError, EdgekdError
from edgekd.runtime.devices._base import LONGEST, check_longest, check_texts, ended, remote_line

FAILED = 255  # ssh itself, and not the program there
# What ssh says, and what that means.
REASONS = (
    (r"host key verification failed|remote host identification has changed", "its host key is not the one known here"),
    (r"permission denied|too many authentication failures", "it does not let this user in"),
    (r"could not resolve|name or service not known|no address associated", "no such host"),
    (r"connection refused", "nothing listens there"),
    (r"timed out|no route to host|network is unreachable|not responding", "it can't be reached"),
    (r"connection (reset|closed|to .* closed)|broken pipe|lost connection", "the connection was cut"),
)
HINTS = {
    "its host key is not the one known here": "check the key and add it: ssh-keyscan, or log in once with ssh",
    "it does not let this user in": "ssh must log in without a question: an agent or a key, see ~/.ssh/config",
}


@dataclass(frozen=True)
class Ssh:
    """A host that ``ssh`` reaches without asking a question.

    Attributes:
        host: as ssh knows it: a name of ``~/.ssh/config``, or an address.
        user, port: where the configuration does not say so.
        python: the Python there, 3.11 or later.
        config: another file than ``~/.ssh/config``.
        patience: seconds to wait for the connection, and for a sign of life; 1..3600.
        longest: seconds that one run may take, beside 10 times what its job asks for; 1..604800.
    """

    host: str
    user: str = ""
    port: int = 0
    python: str = "python3"
    config: str = ""
    patience: int = 15
    longest: int = LONGEST

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._:%-]+", self.host) or self.host.startswith("-"):
            raise ValueError("host: allowed is a name or an address")
        if self.user.startswith("-"):
            raise ValueError("user: allowed is a user's name")
        if not 0 <= self.port <= 65535:
            raise ValueError("port: allowed is 0 to 65535")
        if not 1 <= self.patience <= 3600:
            raise ValueError("patience: allowed is 1 to 3600")
        check_longest(self.longest)
        check_texts(self)

    @property
    def name(self) -> str:
        """``ssh://user@host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{self.user}{'@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    def command(self) -> list[str]:
        """No terminal, no question; and a sign of life now and then, or a dead link would be waited for."""
        if (ssh := shutil.which("ssh")) is None:
            raise DeviceError("OpenSSH is not installed here", where=self.name, hint="install openssh-client")
        alive = max(1, self.patience // 3)
        options = ["BatchMode=yes", f"ConnectTimeout={self.patience}", f"ServerAliveInterval={alive}"]
        line = [ssh, "-T", *(part for option in (*options, "ServerAliveCountMax=3") for part in ("-o", option))]
        line += ["-F", self.config] if self.config else []
        line += ["-l", self.user] if self.user else []
        line += ["-p", str(self.port)] if self.port else []
        return [*line, "--", self.host, remote_line(self.python)]

    def why(self, code: int, stderr: str) -> EdgekdError:
        """By what ssh wrote, where it was ssh that failed."""
        if code != FAILED:
            return ended(self, code, stderr)
        last = " | ".join(stderr.strip().splitlines()[-2:])
        for pattern, reason in REASONS:
            if re.search(pattern, stderr, re.IGNORECASE):
                return DeviceError(f"{reason} ({last})", where=self.name, hint=HINTS.get(reason))
        return DeviceError(f"ssh failed: {last or 'it said nothing'}", where=self.name)
