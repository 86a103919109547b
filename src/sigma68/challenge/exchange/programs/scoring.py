"""Scoring program: turns the answers that the ingestion program wrote into scores.

    python3 scoring.py RESULTS OUTPUT

Writes scores.json and detailed_results.html. The container must have sigma68 installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    try:
        from sigma68.challenge.exchange.scoring import main
    except ImportError as error:
        sys.exit(f"the competition's container lacks sigma68 ({error}): name an image that has it")
    sys.exit(main(Path(__file__).parent, *map(Path, sys.argv[1:3])))
