//! The gRPC face of the daemon.

pub mod settings;
