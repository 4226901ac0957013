"""The data plane, in one worker over real sockets."""
