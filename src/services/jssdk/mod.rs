//! The JS-SDK service: what a page needs to use WeChat's JS-SDK, without anybody seeing a ticket.

pub mod script;
