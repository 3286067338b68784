"""Signing a bundle with OpenSSF model signing (``edgekd[sign]``): a detached signature of every file, ``model.sig``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model_signing import hashing, signing

from edgekd.base.disk import replace_file, temporary
from edgekd.base.errors import OutputError, UsageError
from edgekd.runtime.replay import checked
from edgekd.runtime.signature import SIGNATURE

PASSWORD = "EDGEKD_KEY_PASSWORD"  # environment variable


def sign(
    folder: Path,
    key: Path,
    certificate: Path | None = None,
    chain: Sequence[Path] = (),
    ask: Callable[[], str] | None = None,
    overwrite: bool = False,
) -> dict[str, str]:
    """Sign a bundle as it is, with whatever it holds; the hashes of its own manifest must be right.

    Args:
        key: file of a private key (elliptic curve, PEM).
        certificate: of that key; then the signature names it, and is checked against ``chain``'s roots.
        ask: for the password of an encrypted key, where ``EDGEKD_KEY_PASSWORD`` does not hold it.
        overwrite: replace an earlier signature.

    Returns:
        ``{"bundle", "digest", "signature"}``: the folder, the manifest's SHA-256, the file written.

    Raises:
        IntegrityError: the bundle is damaged, or holds what its manifest does not list.
        OutputError: it is signed already. UsageError: no such key, or a wrong password.
    """
    for file in (key, *([certificate] if certificate else []), *chain):
        if not file.is_file():
            raise UsageError("no such file", where="sign", found=str(file))
    place = folder / SIGNATURE
    checked(folder, run=False)
    if os.path.lexists(place) and not overwrite:
        raise OutputError("is signed already", where=str(place), hint="give --overwrite to sign it again")
    # Of what git writes nothing is left out: a bundle holds what its manifest lists, and nothing else.
    what = hashing.Config().set_ignored_paths(paths=[place], ignore_git_paths=False)
    with temporary("sign") as aside:
        try:
            _signer(key, certificate, chain, ask).set_hashing_config(what).sign(folder, aside / SIGNATURE)
        except (ValueError, TypeError) as err:  # cryptography's own: no key, another kind of one, a wrong password
            raise UsageError(f"can't sign with it: {err}", where=str(key), allowed="an elliptic curve's, PEM") from err
        replace_file(place, (aside / SIGNATURE).read_bytes())
    return {"bundle": str(folder), "digest": digest_of(folder), "signature": str(place)}


def digest_of(folder: Path) -> str:
    """The SHA-256 of a bundle's manifest, which every other file hangs on."""
    return (folder / "manifest.sha256").read_text().split()[0]


def _signer(
    key: Path, certificate: Path | None, chain: Sequence[Path], ask: Callable[[], str] | None
) -> signing.Config:
    if certificate is not None:
        return signing.Config().use_certificate_signer(
            private_key=key, signing_certificate=certificate, certificate_chain=list(chain)
        )
    password = os.environ.get(PASSWORD)
    if password is None and ask is not None and b"ENCRYPTED" in key.read_bytes()[:100_000]:
        password = ask()
    # It is handed on as it is to cryptography, which takes bytes, whatever model-signing 1.1 says that it is.
    given: Any = None if password is None else password.encode()
    return signing.Config().use_elliptic_key_signer(private_key=key, password=given)
