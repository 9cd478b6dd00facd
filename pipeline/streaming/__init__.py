"""The Beam pipeline: Pub/Sub in, BigQuery and Bigtable out, and a dead letter for all that fails.

The only importer of Apache Beam; importing this package alone imports none of it.
"""
