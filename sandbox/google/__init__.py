"""Google Cloud on a laptop: a world with time in it, and the gRPC server that shows it."""
