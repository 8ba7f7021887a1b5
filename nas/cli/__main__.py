"""`python -m nas.cli`."""

from nas.cli.main import main

if __name__ == "__main__":
    main()
