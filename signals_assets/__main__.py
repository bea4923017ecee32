"""`python -m signals_assets` is `signals`."""

from signals_assets.cli import main

if __name__ == "__main__":
    main()
