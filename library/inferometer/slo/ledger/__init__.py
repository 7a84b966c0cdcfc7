"""The ledger of error budgets: counts of closed days that outlive the retention of Prometheus."""
