"""`python -m hgan`: the command line."""

import sys

from hgan.cli import main

sys.exit(main())
