//! WeChat's other direction: it pushes messages and events to a callback, and judges the answers.
//!
//! An independent second implementation of the callback protocol (signatures, encryption, the three
//! modes, XML and JSON, retries), for the tests of our own service, for `zhongkong messages send`,
//! and over `/_sim/push` for programs in any language. [`Sender`] is the whole of it; a [`Push`] is
//! made by name, from fields or from a file, and may be spoilt with a [`Fault`].
//!
//! Left out: third-party platforms' own events, and enterprise accounts.

mod catalogue;
mod compose;
mod crypt;
mod deliver;
mod fault;
mod flaw;
mod http;
mod identity;
mod judge;
pub(super) mod over_http;
mod report;
mod request;
mod tree;
mod xml;

pub use catalogue::{KINDS, Kind};
pub use compose::{ComposeError, Push, SOMEBODY};
pub use crypt::CryptError;
pub use deliver::{ATTEMPTS, Attempt, Delivery, Ending, Sender, SenderError, Trial, Verification, WAIT};
pub use fault::{Fault, Owes};
pub use flaw::{Flaw, SCREEN};
pub use http::RawAnswer;
pub use identity::{Format, Identity, Mode};
pub use judge::{Answer, Shown};
pub use request::{Pace, Request};
pub use tree::{Tree, Value};
pub use xml::XmlError;
