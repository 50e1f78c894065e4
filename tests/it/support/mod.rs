//! What tests stand on: the frozen clock, a running simulator.

pub(crate) mod frozen;
pub(crate) mod simulated;
