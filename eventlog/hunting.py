"""Floor 7: seeded walks through a scenario, and the portfolio that finds what is wrong with it."""
