"""From the evaluation records of many runs to tables, plots and pages that compare systems."""
