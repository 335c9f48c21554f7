"""`python -m kstore.cli` is the command `kstore`."""

import sys

from kstore.cli.main import main

sys.exit(main())
