//! The configuration as the commands about menus and codes read it: how WeChat is reached, and
//! where they keep what they did.
//!
//! Like a service, such a command reads no AppSecret. Unlike a service it may run on a machine that
//! has no configuration at all: then WeChat is WeChat.

use std::io::ErrorKind;
use std::path::Path;

use crate::services::database::Place as DatabasePlace;
use crate::services::qrcode::Limits;
use crate::wechat;

use super::context::Context;
use super::report::{ConfigError, Problem};
use super::secrets::Depth;
use super::source::Source;
use super::{Environment, business, raw, upstream};

/// What those commands need.
#[derive(Clone, Debug)]
pub struct ToolsConfig {
    /// How WeChat is reached.
    pub wechat: wechat::Settings,
    /// Where pushes and codes are kept.
    pub database: DatabasePlace,
    /// How many permanent QR codes an account may have.
    pub codes: Limits,
}

impl ToolsConfig {
    /// Reads what they need of a file; of the other sections it is asked only whether their keys
    /// exist. A file that is not there says nothing.
    ///
    /// # Errors
    /// The operator must change something.
    pub fn load(path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(error)),
        };
        let base = path.parent().unwrap_or(Path::new("/"));
        Self::check(&text, base, env)
            .map_err(|problems| ConfigError::Invalid { path: path.clone(), problems })
    }

    fn check(text: &str, base: &Path, env: &Environment) -> Result<Self, Vec<Problem>> {
        let source = Source::parse(text)?;
        let mut cx = Context::new(env, base);
        let file: raw::File = source.read(&mut cx.report);
        let wechat = upstream::check(file.wechat.unwrap_or_default(), &mut cx);
        let business = file.business.unwrap_or_default();
        let business = business::check(&business, Depth::Secrets, &mut cx);
        let (errors, _) = cx.report.finish(|place| source.line_of(place));
        match wechat.zip(business) {
            Some((wechat, (database, codes))) if errors.is_empty() => Ok(Self { wechat, database, codes }),
            _ => Err(errors),
        }
    }
}
