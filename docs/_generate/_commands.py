"""The command line's reference, from click."""

from __future__ import annotations

import click
from _markdown import code, table

from edgekd.cli.commands import cli


def reference() -> str:
    """Every command: its usage, what it does, its arguments and options."""
    context = click.Context(cli, info_name="edgekd", max_content_width=110)
    return "\n".join(_command(name, cli.commands[name], context) for name in sorted(cli.commands))


def _command(name: str, command: click.Command, above: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=above)
    usage = " ".join([*context.command_path.split(), *command.collect_usage_pieces(context)])
    rows = [
        (code(record[0]), _escaped(record[1]))
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    options = table(("option", "what it does"), rows)
    return f"## edgekd {name}\n\n{_escaped((command.help or '').strip())}\n\n```text\n{usage}\n```\n\n{options}"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")
