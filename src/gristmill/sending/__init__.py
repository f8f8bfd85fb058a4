"""The only place that sends: how fast, for how much, one by one or in batches; and the switch that ends it in good order."""
