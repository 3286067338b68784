"""``python -m edgekd``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:  # -m puts the current folder first, where a stranger's click.py may stand
        del sys.path[0]
    from edgekd.cli import main

    main()
