"""Where prompts come from: data files and procedural sources, each a stream of prompts and counted rejects."""
