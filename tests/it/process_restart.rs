//! Ends and starts of the real process: what a stop finishes, what a start needs WeChat for.

use rustix::process::Signal;
use zhongkong::simulator::{Endpoint, Fault, Script};

use super::support::frozen::Guard;
use super::support::process::{SECRET, Site, key};
use super::support::simulated::{Simulated, listed};
