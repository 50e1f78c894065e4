//! What tests stand on: the frozen clock, a running simulator, an engine, a real memcached, a
//! bare socket.

pub(crate) mod ailing;
pub(crate) mod browser;
pub(crate) mod engine;
pub(crate) mod frozen;
pub(crate) mod memcached;
pub(crate) mod passing;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod simulated;
