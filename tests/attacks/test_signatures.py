"""Whose a bundle is: signed as OpenSSF model signing signs, refused where its own command refuses."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import _small
import model_signing._cli
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import edgekd
from edgekd import cli
from edgekd.base.errors import IntegrityError, OutputError, UnavailableError, UsageError
from edgekd.publish.sign import PASSWORD, sign
from edgekd.runtime import bundle as bundles
from edgekd.runtime import signature
from edgekd.runtime.signature import SIGNATURE, Trust

PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()


def write_key(place: Path, password: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """A private key beside its public one (``.pub``)."""
    key = ec.generate_private_key(ec.SECP256R1())
    locked = PLAIN if password is None else serialization.BestAvailableEncryption(password)
    place.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked))
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    place.with_suffix(".pub").write_bytes(public)
    return key


@pytest.fixture(scope="module")
def signed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed bundle, ``key.pub``, and ``other.pub`` of somebody else; only to be read."""
    folder = tmp_path_factory.mktemp("signed")
    shutil.copytree(digits / "out", folder / "bundle")
    for name in ("key", "other"):
        write_key(folder / f"{name}.pem")
    sign(folder / "bundle", folder / "key.pem")
    return folder


@pytest.fixture
def mine(signed: Path, tmp_path: Path) -> Path:
    """A copy that a test changes."""
    return Path(shutil.copytree(signed / "bundle", tmp_path / "bundle"))


def command(arguments: list[str]) -> tuple[int, str]:
    """Model signing's own command, in this process: its imports take 0.4 s."""
    done = CliRunner().invoke(model_signing._cli.main, arguments)
    return done.exit_code, done.output


def theirs(bundle: Path, key: Path) -> int:
    """What model signing's own command says."""
    line = ["verify", "key", "--signature", str(bundle / SIGNATURE), "--public_key", str(key), str(bundle)]
    return command(line)[0]


@pytest.fixture
def _own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child for each check."""
    monkeypatch.setattr(signature, "_run", command)


quickly = pytest.mark.usefixtures("_own_process")


def test_ours_and_theirs_agree_on_what_is_signed(signed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert theirs(signed / "bundle", signed / "key.pub") == 0
    with pytest.raises(IntegrityError, match=r"signature does not hold.*Verification failed"):
        signature.check(signed / "bundle", Trust(key=signed / "other.pub"))
    assert cli.run(["verify", str(signed / "bundle"), "--key", str(signed / "key.pub"), "--json"]) == 0
    assert {"check": "signature", "ok": True} in json.loads(capsys.readouterr().out)
    assert edgekd.load(signed / "bundle", target="ort-cpu", key=signed / "key.pub") is not None


def labels_reversed(folder: Path) -> None:
    """A manifest of another meaning, and its digest made anew: without a signature nothing is wrong with it."""
    place = folder / "manifest.json"
    table = json.loads(place.read_bytes())
    about = table["additional_metadata"]["edgekd"]
    about["outputs"][0]["labels"].reverse()
    place.write_bytes(bundles.canonical(table))
    (folder / "manifest.sha256").write_bytes(bundles.digest_file(place.read_bytes()))


def report_changed(folder: Path) -> None:
    (folder / "report.html").write_text("all is well")


def file_gone(folder: Path) -> None:
    (folder / "README.md").unlink()


def file_added(folder: Path) -> None:
    (folder / "openvino" / "more.py").write_text("")


@quickly
@pytest.mark.parametrize("change", [labels_reversed, report_changed, file_gone, file_added], ids=lambda c: c.__name__)
def test_what_theirs_refuses_ours_refuses(change: Callable[[Path], None], mine: Path, signed: Path) -> None:
    change(mine)
    assert theirs(mine, signed / "key.pub") != 0
    with pytest.raises(IntegrityError, match="signature does not hold"):
        edgekd.load(mine, target="ort-cpu", key=signed / "key.pub")


@quickly
def test_somebody_elses_signature(signed: Path) -> None:
    assert theirs(signed / "bundle", signed / "other.pub") != 0
    for command in ("verify", "bench"):
        assert cli.run([command, str(signed / "bundle"), "--key", str(signed / "other.pub")]) == 5


@quickly
@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "null", '{"dsseEnvelope": {"payload": "e30="}}', "\0"])
def test_what_is_no_signature(text: str, mine: Path, signed: Path) -> None:
    (mine / SIGNATURE).write_text(text)
    with pytest.raises(IntegrityError, match="signature does not hold"):
        signature.check(mine, Trust(key=signed / "key.pub"))


def test_no_signature_a_link_or_a_large_one(mine: Path, signed: Path) -> None:
    trust = Trust(key=signed / "key.pub")
    (mine / SIGNATURE).rename(mine.parent / "elsewhere")
    with pytest.raises(IntegrityError, match="is not signed"):
        signature.check(mine, trust)
    (mine / SIGNATURE).symlink_to(mine.parent / "elsewhere")
    with pytest.raises(IntegrityError, match="a symbolic link"):
        signature.check(mine, trust)
    (mine / SIGNATURE).unlink()
    (mine / SIGNATURE).write_bytes(bytes(signature.MAX_SIGNATURE + 1))
    with pytest.raises(IntegrityError, match="too large"):
        signature.check(mine, trust)


def test_a_manifest_that_changes_meanwhile(mine: Path, signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reversing(arguments: list[str]) -> tuple[int, str]:
        labels_reversed(mine)
        return 0, ""

    monkeypatch.setattr(signature, "_run", reversing)
    with pytest.raises(IntegrityError, match="changed while its signature was checked"):
        bundles.read(mine, trust=Trust(key=signed / "key.pub"))


def test_whom_to_trust_is_said_in_one_whole_way(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, bundle = signed / "key.pub", signed / "bundle"
    assert Trust.of(None) is None and Trust.of(Trust()) is None and Trust.of(str(key)) == Trust(key=key)
    for trust, said in (
        (Trust(key=key, certificates=(key,)), "needs one of them"),
        (Trust(identity="me@here"), "needs --identity-provider and --trust-config"),
        (Trust(key=signed / "none.pub"), "no such file"),
        (Trust(key=signed / "key.pem"), "not a public key"),
    ):
        with pytest.raises(UsageError, match=said):
            edgekd.verify(bundle, key=trust)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"edgekd\[sign\]"):
        edgekd.verify(bundle, key=key)


def test_a_damaged_bundle_is_not_signed_and_a_signed_one_not_again(
    mine: Path, signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutputError, match="is signed already"):
        sign(mine, signed / "key.pem")
    before = (mine / SIGNATURE).read_bytes()
    assert cli.run(["sign", str(mine), "--key", str(signed / "key.pem"), "--overwrite"]) == 0
    assert bundles.read(mine).digest in capsys.readouterr().out and (mine / SIGNATURE).read_bytes() != before
    report_changed(mine)
    assert cli.run(["sign", str(mine), "--key", str(signed / "key.pem"), "--overwrite"]) == 5
    for key in ("key.pub", "none.pem"):
        assert cli.run(["sign", str(signed / "bundle"), "--key", str(signed / key), "--overwrite"]) == 2


@quickly
def test_an_encrypted_key_asks_for_its_password(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_key(tmp_path / "locked.pem", b"open sesame")
    with pytest.raises(UsageError, match="can't sign with it"):
        sign(mine, tmp_path / "locked.pem", ask=lambda: "wrong", overwrite=True)
    sign(mine, tmp_path / "locked.pem", ask=lambda: "open sesame", overwrite=True)
    monkeypatch.setenv(PASSWORD, "open sesame")
    sign(mine, tmp_path / "locked.pem", overwrite=True)
    signature.check(mine, Trust(key=tmp_path / "locked.pub"))


def certificate(of: ec.EllipticCurvePrivateKey, name: str, issuer: str, by: ec.EllipticCurvePrivateKey) -> bytes:
    """Of a root where it is its own issuer, else of who signs."""
    named = {who: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in (name, issuer)}
    root, now = name == issuer, datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(named[name]).issuer_name(named[issuer])
    made = made.public_key(of.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
    made = made.add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    allowed = x509.KeyUsage(digital_signature=not root, key_cert_sign=root, crl_sign=root, decipher_only=False, **usage)
    made = made.add_extension(allowed, critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    if not root:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return made.sign(by, hashes.SHA256()).public_bytes(PEM)


@quickly
def test_certificates_go_back_to_the_root_that_is_trusted(mine: Path, tmp_path: Path) -> None:
    for who in ("mine", "theirs"):
        root, own = write_key(tmp_path / f"{who}-root.pem"), write_key(tmp_path / f"{who}.pem")
        (tmp_path / f"{who}-root.crt").write_bytes(certificate(root, "root", "root", root))
        (tmp_path / f"{who}.crt").write_bytes(certificate(own, "signer", "root", root))
    trusted, signer = tmp_path / "mine-root.crt", tmp_path / "mine.crt"
    key = ["--key", str(tmp_path / "mine.pem")]
    line = ["sign", str(mine), *key, "--certificate", str(signer), "--chain", str(trusted)]
    assert cli.run([*line, "--overwrite"]) == 0
    signature.check(mine, Trust(certificates=(trusted,)))
    with pytest.raises(IntegrityError, match="signature does not hold"):
        signature.check(mine, Trust(certificates=(tmp_path / "theirs-root.crt",)))


def test_nothing_to_do_is_said_of_what_was_built_here(
    own_digits: Path, digits: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, cache = own_digits / "out", own_digits / "cache"
    line = ["build", "digits", "--quick", "--target", "ort-cpu", "--target", "openvino", "--out", str(out)]
    line += _small.line_of(_small.DIGITS)
    assert cli.run([*line, "--cache", str(cache)]) == 0
    labels_reversed(out)
    assert cli.run([*line, "--cache", str(cache)]) == 5
    assert "is not the bundle that was built here" in capsys.readouterr().err
    assert cli.run([*line, "--cache", str(own_digits / "empty")]) == 0  # a machine that never built it knows no better
    assert "does not know this bundle" in capsys.readouterr().err
