"""`python -m eventlog` is the command line."""

import sys

from eventlog.cli import main

sys.exit(main())
