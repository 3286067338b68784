"""Whose a bundle is: its signature, checked by the command of OpenSSF model signing itself (``edgekd[sign]``).

The command runs in a process of its own: it reads what a stranger wrote (the signature), and what it refuses is refused
here by construction (0.5 to 0.9 s). With a key or a certificate it needs no network; an identity is checked against a
trust configuration on this machine alone, since its roots would be fetched otherwise.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.door import open_inside
from edgekd.base.errors import IntegrityError, UnavailableError, UsageError

MANIFEST, SIGNATURE = "manifest.json", "model.sig"
MAX_MANIFEST = 16_000_000  # it holds the names of the classes: 300,000 of them, of 30 characters
MAX_SIGNATURE = 4_000_000  # bytes; a bundle of 60 files has 12,000
SECONDS = 300.0  # a bundle of 1 GB is hashed in 3 s
INSTALL = "pip install 'edgekd[sign]'"


@dataclass(frozen=True)
class Trust:
    """Who must have signed; exactly one of the three.

    Attributes:
        key: file of a public key (elliptic curve, PEM).
        certificates: files of certificates that the signer's must go back to (PEM).
        identity: an e-mail address or URL, with the provider that vouches for it and a file of roots to trust.
    """

    key: Path | None = None
    certificates: tuple[Path, ...] = ()
    identity: str | None = None
    identity_provider: str | None = None
    trust_config: Path | None = None

    @classmethod
    def of(cls, given: str | Path | Trust | None) -> Trust | None:
        """A trust, or the file of a public key, as one; one that names nobody is None."""
        trust = given if isinstance(given, Trust) else None if given is None else cls(key=Path(given))
        return None if trust == cls() else trust

    def arguments(self) -> list[str]:
        """What the command is given.

        Raises:
            UsageError: none or several of them, an identity that is not whole, or a file that is not there.
        """
        if sum((self.key is not None, bool(self.certificates), self.identity is not None)) != 1:
            raise UsageError("needs one of them", where="signature", allowed="--key, --certificate or --identity")
        for file in self._files():
            if not file.is_file():
                raise UsageError("no such file", where="signature", found=str(file))
        if self.key is not None:
            if b"PUBLIC KEY" not in self.key.read_bytes()[:100_000]:
                raise UsageError("not a public key", where=str(self.key), allowed="PEM: -----BEGIN PUBLIC KEY-----")
            return ["key", "--public_key", str(self.key.absolute())]
        if self.certificates:
            chain = [part for file in self.certificates for part in ("--certificate_chain", str(file.absolute()))]
            return ["certificate", *chain]
        if self.identity_provider is None or self.trust_config is None:
            hint = "without them the roots would be fetched from the network"
            raise UsageError("needs --identity-provider and --trust-config", where="--identity", hint=hint)
        who = ["--identity", str(self.identity), "--identity_provider", self.identity_provider]
        return ["sigstore", *who, "--trust_config", str(self.trust_config.absolute())]

    def _files(self) -> Iterator[Path]:
        yield from (file for file in (self.key, *self.certificates, self.trust_config) if file is not None)


def check(folder: Path, trust: Trust, ignore_unlisted: bool = False) -> str:
    """Hold a bundle against its signature.

    Args:
        ignore_unlisted: files that were not signed may lie there.

    Returns:
        The SHA-256 of the manifest that was signed; every other file hangs on that.

    Raises:
        IntegrityError: it has none, or the command refuses it: another signer, a changed, missing or new file.
        UnavailableError: the command is not installed.
        UsageError: see ``Trust.arguments``.
    """
    arguments = trust.arguments()
    if importlib.util.find_spec("model_signing") is None:
        raise UnavailableError("OpenSSF model signing is not installed", where="signature", hint=INSTALL)
    where = str(folder / SIGNATURE)
    if not (folder / SIGNATURE).exists() and not (folder / SIGNATURE).is_symlink():
        raise IntegrityError("is not signed", where=str(folder), allowed=f"a signature, {SIGNATURE}")
    open_inside(folder, SIGNATURE, MAX_SIGNATURE)
    manifest = open_inside(folder, MANIFEST, MAX_MANIFEST)
    unsigned = ["--ignore_unsigned_files"] if ignore_unlisted else []
    command = ["verify", *arguments, "--signature", str((folder / SIGNATURE).absolute()), *unsigned]
    code, message = _run([*command, str(folder.absolute())])
    if code:
        raise IntegrityError("the signature does not hold", where=where, found=message)
    if open_inside(folder, MANIFEST, MAX_MANIFEST) != manifest:
        raise IntegrityError("changed while its signature was checked", where=str(folder / MANIFEST))
    return hashlib.sha256(manifest).hexdigest()


def _run(arguments: list[str]) -> tuple[int, str]:
    """The command's exit code, and the last line of what it said; ``-P``: nothing of the current folder is imported."""
    line = [sys.executable, "-P", "-m", "model_signing", *arguments]
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return 1, f"not done in {SECONDS:.0f} s"
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").strip().splitlines()
    return done.returncode, lines[-1] if lines else "nothing was said"
