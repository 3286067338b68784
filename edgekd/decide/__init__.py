"""Pure rules over what was measured: nothing is trained, run or read here."""
