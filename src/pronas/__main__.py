"""``python -m pronas``."""

from pronas.cli import main

if __name__ == "__main__":
    main()
