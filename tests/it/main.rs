//! All tests over real sockets, files and processes, in one crate so that they link once.

mod ledger;
mod ledger_agreement;
mod ledger_bad_days;
mod ledger_file;
mod ledger_support;
