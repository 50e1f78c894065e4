//! What tests stand on: the frozen clock, a running simulator, an engine, a real memcached, a
//! bare socket, a service manager's ear.

pub(crate) mod ailing;
pub(crate) mod browser;
pub(crate) mod engine;
pub(crate) mod frozen;
pub(crate) mod logged;
pub(crate) mod manager;
pub(crate) mod memcached;
pub(crate) mod nginx;
pub(crate) mod passing;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod ran;
pub(crate) mod raw;
pub(crate) mod record;
pub(crate) mod said;
pub(crate) mod scrape;
pub(crate) mod simulated;
pub(crate) mod site;
