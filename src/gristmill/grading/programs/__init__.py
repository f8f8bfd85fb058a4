"""What grading programs is made of: tasks, code in answers, values side by side, mutants."""
