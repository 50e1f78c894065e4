//! `zhongkong demo`.
