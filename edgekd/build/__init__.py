"""From a checked request to measured candidates: the steps of a build."""
