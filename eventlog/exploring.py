"""Floor 7: every run of a scenario within k deviations: a proof, or a counterexample as a story."""
