"""The run's folder and its ledger: where everything that was paid for is kept."""
