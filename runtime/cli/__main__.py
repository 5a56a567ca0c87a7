"""`python -m runtime.cli`, the same as `understudy`."""

import sys

from runtime.cli.command import main

sys.exit(main())
