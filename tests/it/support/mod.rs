//! What tests stand on: the frozen clock, a running simulator, a bare socket.

pub(crate) mod frozen;
pub(crate) mod raw;
pub(crate) mod simulated;
