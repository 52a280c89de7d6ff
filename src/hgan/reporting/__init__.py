"""Reports that compare systems: tables, plots and pages from the records of many runs."""
