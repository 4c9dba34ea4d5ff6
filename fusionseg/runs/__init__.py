"""Run folders: what lies in them, how it is written, and how a run is restored or resumed from it."""
