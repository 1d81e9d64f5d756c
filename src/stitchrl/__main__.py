"""`python -m stitchrl`: the command line."""

from stitchrl.cli import main

main()
