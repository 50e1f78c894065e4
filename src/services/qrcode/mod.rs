//! Parametric QR codes: made once, remembered, drawn.
//!
//! WeChat makes 100,000 permanent codes for an account and never takes one back, and gives a code's
//! ticket only to whoever makes it. So every code is a row of the business database, and what exists is
//! handed out again ([`Codes`]).
//!
//! **Invariant:** a permanent code is a row before WeChat hears of it, so two processes never ask for
//! the same one, and one that has it written down never asks again.
//! **Invariant:** a call whose answer was lost counts as a code, whether WeChat made it or not.
//!
//! **Invariant:** a scan is counted once, however often it is told, and no openid is kept.
//!
//! Deliberately absent: what is done when somebody scans one; that is the message service's.

mod bulk;
mod code;
mod codes;
mod create;
mod draw;
mod host;
mod logo;
mod row;
mod scan;

pub use bulk::{ListError, Listed, read_list};
pub use code::{Code, Life, Scene, Spec, SpecError};
pub use codes::{CodeError, Codes, Count, Counted, How, Limits, Reserve, Shown, Stray};
pub use draw::{DrawError, Drawing, Png};
pub use host::picture_host;
pub use logo::{Logo, LogoError};
pub use scan::{Scan, ScanEvent, Scans, Told};
