"""`python -m quantx`: the command where its script is not on the path."""

import sys

from quantx.cli import main

sys.exit(main())
