"""Tampers of a signed and of an unsigned bundle, the manifest included: what is accepted?

    python benchmarks/tampers.py [--count 1000000] [--processes 2]

Each tamper changes the quick bundle of digits, and ``verify`` looks at it without running a model; each is another one,
by its number, and a run that was stopped goes on. ``listed``: bytes, length, removal, exchange and names of the files
that the manifest lists, and files that it does not. ``manifest``: its bytes, or a value of its JSON, with the digest as
it was. ``anew``: the same, with the digest made anew: an unsigned bundle may then mean another thing, but the digest
that is printed differs; a signed one is refused (by OpenSSF model signing's own code, in this process).
``signature``: bytes of model.sig; one that still says the same is no tamper.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import _common
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import verifying

from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.publish.sign import sign
from edgekd.runtime import bundle as bundles
from edgekd.runtime.replay import checked
from edgekd.runtime.signature import SIGNATURE

CHUNK = 5_000
KINDS = ("listed",) * 10 + ("manifest",) * 7 + ("anew",) * 2 + ("signature",)
PLACE = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
Files = dict[str, bytes | None]  # by name; None: no such file
PEM = serialization.Encoding.PEM
PROBE = "probe-\N{SNOWMAN}"


def prepare(folder: Path) -> None:
    """A signed bundle, and the key it is signed with."""
    line = ["build", "digits", "--quick", "--target", "ort-cpu", "--out", str(folder / "bundle")]
    subprocess.run([sys.executable, "-m", "edgekd", *line], check=True, stderr=subprocess.DEVNULL)
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pub").write_bytes(public)
    sign(folder / "bundle", folder / "key.pem")


def altered(data: bytes, rng: random.Random) -> bytes:
    """Other bytes: some changed, taken out, put in, or cut off."""
    at = rng.randrange(len(data)) if data else 0
    how = rng.randrange(5) if data else 2
    if how == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if how == 1:
        return data[:at] + data[at + rng.randint(1, 64) :]
    if how == 2:
        return data[:at] + rng.randbytes(rng.randint(1, 64)) + data[at:]
    if how == 3:
        return data[:at]
    other = rng.randrange(len(data))
    first, last = sorted((at, other))
    return (
        data[:first] + data[last : last + 16] + data[first + 16 : last] + data[first : first + 16] + data[last + 16 :]
    )


def listed(files: dict[str, bytes], rng: random.Random) -> Files:
    """A change of the files that the manifest lists, or of what stands beside them."""
    names = sorted(set(files) - bundles.UNLISTED)
    one, other = rng.sample(names, 2)
    how = rng.randrange(6)
    if how < 3:
        return {one: altered(files[one], rng)}
    if how == 3:
        return {one: None}
    if how == 4:
        return {one: files[other], other: files[one]}
    new = rng.choice([f"{one}.{rng.randrange(1000)}", f"{rng.randrange(1000)}", one.upper(), f"examples/{PROBE}.py"])
    return {new: files[other], **({one: None} if rng.random() < 0.5 else {})}


def edited(data: bytes, rng: random.Random) -> bytes:
    """A manifest with another value somewhere, as it would be written."""
    table = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(table)
    owner, key = rng.choice(places)
    value = owner[key]
    how = rng.randrange(4)
    if how == 0:
        del owner[key]
    elif how == 1 and isinstance(owner, list):
        owner.reverse()
    elif how == 2:
        other, theirs = rng.choice(places)
        if isinstance(other[theirs], dict | list) or isinstance(value, dict | list):
            owner[key] = rng.choice([None, 0, "", [], {}, -1, 1e300, "x" * 300])
        else:
            owner[key] = other[theirs]
    elif isinstance(value, bool):
        owner[key] = not value
    elif isinstance(value, int | float):
        owner[key] = rng.choice([value + 1, -value, value * 1000, 0])
    elif isinstance(value, str) and value:
        owner[key] = altered(value.encode(), rng).decode("utf-8", "replace")
    else:
        owner[key] = None
    return bundles.canonical(table)


def manifest(files: dict[str, bytes], rng: random.Random) -> Files:
    """A change of the manifest; its digest is as it was."""
    data = files[bundles.MANIFEST]
    return {bundles.MANIFEST: altered(data, rng) if rng.random() < 0.5 else edited(data, rng)}


def anew(files: dict[str, bytes], rng: random.Random) -> Files:
    """A change of the manifest and its digest."""
    changed = manifest(files, rng)
    return {**changed, bundles.DIGEST: bundles.digest_file(changed[bundles.MANIFEST] or b"")}


def signature(files: dict[str, bytes], rng: random.Random) -> Files:
    """Other bytes of the signature."""
    return {SIGNATURE: altered(files[SIGNATURE], rng)}


CHANGES: dict[str, Callable[[dict[str, bytes], random.Random], Files]] = {
    "listed": listed,
    "manifest": manifest,
    "anew": anew,
    "signature": signature,
}


def meaning(data: bytes) -> Any:
    """What a signature's file says: the statement and the bytes that sign it; None: nothing that can be read."""
    try:
        envelope = json.loads(data)["dsseEnvelope"]
        return base64.b64decode(envelope["payload"]), [base64.b64decode(one["sig"]) for one in envelope["signatures"]]
    except (ValueError, KeyError, TypeError):
        return None


def chunk(folder: Path, number: int) -> Counter[str]:
    """``CHUNK`` tampers; counts by kind and outcome."""
    counter: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="tampers-", dir=PLACE) as place:
        bundle = Path(shutil.copytree(folder / "bundle", Path(place, "bundle")))
        files = {p.relative_to(bundle).as_posix(): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
        digest = bundles.read(bundle).digest
        for i in range(CHUNK):
            rng = random.Random(number * CHUNK + i)
            kind = rng.choice(KINDS)
            changes = {n: d for n, d in CHANGES[kind](files, rng).items() if d != files.get(n)}
            if not changes:
                continue
            put(bundle, changes)
            counter[f"{kind}: tried"] += 1
            for outcome in judged(bundle, folder / "key.pub", kind, digest, files, changes):
                counter[f"{kind}: {outcome}"] += 1
            put(bundle, {name: files.get(name) for name in changes})
    return counter


def put(bundle: Path, changes: Files) -> None:
    """Write, or remove."""
    for name, data in changes.items():
        path = bundle / name
        if data is None:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def judged(bundle: Path, key: Path, kind: str, digest: str, files: dict[str, bytes], changes: Files) -> list[str]:
    """What is said of a tampered bundle, unsigned and signed."""
    outcomes = []
    try:
        checked(bundle, run=False)
    except IntegrityError:
        return ["refused by both"]  # with a key, too: the signature is one check more
    except EdgekdError as err:
        return [f"refused as {type(err).__name__}"]
    except Exception as err:  # noqa: BLE001 - what must not happen is counted
        return [f"a plain {type(err).__name__}"]
    if kind in ("listed", "manifest"):
        outcomes.append("ACCEPTED unsigned")
    elif kind == "anew":
        shown = bundles.read(bundle).digest
        outcomes.append("another digest" if shown != digest else "ACCEPTED with the same digest")
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(bundle, bundle / SIGNATURE)
    except Exception:  # noqa: BLE001 - model signing raises what it likes
        return [*outcomes, "refused signed"]
    same = kind == "signature" and meaning(changes[SIGNATURE] or b"") == meaning(files[SIGNATURE])
    return [*outcomes, "the same signature, spelt otherwise" if same else "ACCEPTED signed"]


def main() -> None:
    """Count, and write the result after each round of chunks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_010_000)  # a few are none
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    done = _common.RESULTS / "tampers.json"
    before: dict[str, Any] = json.loads(done.read_text()) if done.is_file() else {"chunks": 0, "counts": {}}
    counts, start = Counter(before["counts"]), before["chunks"]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(given.processes) as pool:
        prepare(Path(folder))
        total = -(-given.count // CHUNK)
        while start < total:
            numbers = range(start, min(start + 4 * given.processes, total))
            for found in pool.map(chunk, [Path(folder)] * len(numbers), numbers):
                counts += found
            start = numbers[-1] + 1
            tried = sum(number for name, number in counts.items() if name.endswith(": tried"))
            _common.write("tampers", {"chunks": start, "tried": tried, "counts": dict(sorted(counts.items()))})
            print(start, dict(counts), flush=True)
    bad = {name: number for name, number in counts.items() if "ACCEPTED" in name or "plain" in name}
    print(bad)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
