//! The daemon as a Unix process: how it leaves the terminal, whose it is, what it listens on,
//! what it must not leak, what it is told by signals, and what it tells the service manager.

pub mod detach;
pub mod hardening;
pub mod notify;
pub mod pid_file;
pub mod privileges;
pub mod service_sockets;
pub mod signals;
pub mod sockets;
