//! A stand-in for WeChat's servers.
