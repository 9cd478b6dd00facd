"""The pipeline measured: its validation, its transforms, its replay, each beside what does less."""
