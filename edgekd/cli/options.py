"""Options that several commands take."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Number(click.FloatRange):
    """A number in a range, and a finite one: no range of click's keeps nan out, and few inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Place(click.Path):
    """A path; see ``disk.users_path``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from edgekd.base.disk import users_path

        return super().convert(users_path(value, param.opts[0] if param else "a path"), param, ctx)


file = Place(path_type=Path)
recipe = click.argument("recipe", required=False)
target = click.option("--target", "targets", multiple=True, metavar="T", help="Target name or file; may be repeated.")
settings = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a recipe key: a.b=c.")
cache = click.option("--cache", type=file, help="Where artifacts are kept.")
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, all else on stderr.")
quick = click.option("--quick", is_flag=True, help="Every stage cut to seconds; the bundle is not shippable.")
bundle = click.argument("bundle", type=file)
plugins = click.option("--allow-plugin", "plugins", multiple=True, metavar="PACKAGE.MODULE:CLASS",
                        help="A backend or task of your own that the bundle may open; may be repeated.")  # fmt: skip
max_memory = click.option("--max-memory-gb", type=Number(0.05), metavar="GB", help="That opening its models "
                          "may take [default: 1, and 8 x its files].")  # fmt: skip
max_seconds = click.option("--max-seconds", type=Number(0.1), metavar="S", help="That all of it may take "
                           "[default: 45, and 0.2 for each MB of its files].")  # fmt: skip


def _ask_devices(_: click.Context, __: click.Parameter, chosen: Path | None) -> None:
    if chosen is not None:
        os.environ["EDGEKD_DEVICES"] = str(chosen)


devices = click.option("--devices", "devices_file", type=file, metavar="FILE", expose_value=False,
                       callback=_ask_devices, help="Where devices are named, beside ~/.config/edgekd/devices.toml "
                       "[default: EDGEKD_DEVICES].")  # fmt: skip
measure_on = click.option("--measure-on", default="local", show_default=True, metavar="DEVICE", help="Whose latencies "
                          "decide; see edgekd bench --device.")  # fmt: skip
SIGNERS = (
    click.option("--key", type=file, metavar="FILE", help="A public key that the bundle must be signed with."),
    click.option("--certificate", "certificates", type=file, multiple=True, metavar="FILE", help="A certificate that "
                 "the signer's must go back to; may be repeated."),
    click.option("--identity", help="Who must have signed it, with --identity-provider and --trust-config."),
    click.option("--identity-provider", metavar="URL", help="Who vouches for the identity."),
    click.option("--trust-config", type=file, metavar="FILE", help="The roots to trust; none are fetched."),
)  # fmt: skip


def signers(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say who must have signed a bundle, given to the command as ``key``: a ``Trust``, or None."""

    @functools.wraps(command)
    def with_trust(**given: Any) -> Any:
        from edgekd.runtime.signature import Trust

        names = ("key", "certificates", "identity", "identity_provider", "trust_config")
        return command(key=Trust.of(Trust(**{name: given.pop(name) for name in names})), **given)

    return functools.reduce(lambda done, option: option(done), reversed(SIGNERS), with_trust)


USERS_OWN = (
    click.option("--teacher", "teachers", multiple=True, metavar="FILE|FOLDER|MOD:NAME", help="Who teaches, with "
                 "--data: an ONNX file, recorded answers, a folder of transformers, an archive of torch, code; "
                 "several teach together."),
    click.option("--data", metavar="FILE|FOLDER|MOD:NAME", help="Samples that it knows: folders of pictures or sounds, "
                 "texts, arrays, code of yours."),
    click.option("--checkpoint", type=file, metavar="FILE", help="Weights of a teacher whose network code makes."),
    click.option("--allow-code", is_flag=True, help="Open files that may run code of their maker's (.pt2)."),
    target,
    settings,
)  # fmt: skip


def users_own(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a first recipe for a teacher and data of the user's."""
    return functools.reduce(lambda done, option: option(done), reversed(USERS_OWN), command)


ARGUMENTS = "edgekd.arguments"  # of a launched command, as they were given


class Launched(click.Command):
    """A command that another program can start again: it keeps its arguments, all but that program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See ``click.Command``."""
        ctx.meta[ARGUMENTS] = _without(args, "--launch")
        return super().parse_args(ctx, args)


def _without(args: list[str], option: str) -> list[str]:
    kept, skip = [], False
    for arg in args:
        if not skip and arg != option and not arg.startswith(f"{option}="):
            kept.append(arg)
        skip = arg == option and not skip
    return kept
