"""`python -m bridge.cli` is `consent-bridge`."""

from bridge.cli.main import main

main()
