"""One module for each Google service: from protobuf to the world and back."""
