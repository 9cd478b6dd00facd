"""The e-commerce streaming pipeline and the operations on it.

Knows Google Cloud; knows nothing of Slack or of incidents.  What others may use:
``pipeline.operations`` (what can be asked or done), ``pipeline.report`` (the shape of every
answer), ``pipeline.catalogue`` (which pipelines there are) and ``pipeline.history`` (what was
measured before).
"""
