//! Business services: what a company does with its tokens, as clients of the daemon.
//!
//! A service knows the daemon only through [`client`](crate::client) and WeChat's business
//! endpoints only through `wechat_api`; it never holds an AppSecret, so it may face the internet.
//! Services do not import each other, but for `business_api`, which is HTTP for `menu` and `qrcode`.
//! Which of them a process runs is decided above them.

pub mod business;
pub mod business_api;
pub mod database;
pub mod forwarded;
pub mod jssdk;
pub mod menu;
pub mod messages;
pub mod oauth;
pub mod qrcode;
pub mod wechat_api;
