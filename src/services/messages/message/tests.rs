//! Every sample, read.
