//! The refresh protocol of one key.
//!
//! A [`handle::Handle`] is what everybody else holds: it reads without waiting and posts
//! complaints and commands. One refresher task per key is the only caller of WeChat for
//! it and the only writer of its [`view::View`].

pub mod budget;
pub mod handle;
pub mod policy;
pub mod view;
