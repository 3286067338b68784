"""x"""
import sys
from pathlib import Path
from peers import nets
for n in sys.argv[2:]:
    nets.prepare_net(n, Path("/work/shared/data"), Path(sys.argv[1]))
