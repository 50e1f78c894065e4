//! zhongkong (中控): the one process of a company that fetches WeChat credentials.

pub mod simulator;
