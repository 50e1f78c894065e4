//! What several tests stand on.

pub(crate) mod frozen;
pub(crate) mod memcached;
