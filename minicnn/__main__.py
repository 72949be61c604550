"""`python -m minicnn` is `minicnn`."""

import sys

from minicnn.cli import main

sys.exit(main())
