"""Ingestion program: runs one submission on the toys of its phase.

    python3 ingestion.py SUBMISSION OUTPUT

Its settings lie beside it in settings.json. The container must have sigma68 installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    try:
        from sigma68.challenge.exchange.ingest import main
    except ImportError as error:
        sys.exit(f"the competition's container lacks sigma68 ({error}): name an image that has it")
    sys.exit(main(Path(__file__).parent, *map(Path, sys.argv[1:3])))
