"""``python -m ccgateway``."""

from ccgateway.cli import main

main()
