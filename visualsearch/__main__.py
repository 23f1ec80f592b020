"""`python -m visualsearch` is the command line."""

from visualsearch.cli import main

if __name__ == "__main__":
    main()
