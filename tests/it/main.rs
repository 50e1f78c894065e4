//! The product over real sockets.

mod mirror;
mod mirror_trouble;
mod support;
