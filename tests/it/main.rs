//! The tests of zhongkong, over real sockets and files: one crate, one module a subject.

mod admin;
mod config;
mod config_files;
mod process;
