"""What grading tool calls is made of: calls in texts, tools' schemas, accepted values, a simulated world."""
