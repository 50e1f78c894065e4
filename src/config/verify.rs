//! `verify_files` of any service's account: the files by which WeChat sees that a domain is ours.
//!
//! All services of a process share one host and so one set of names. A name is one account's; which
//! of that account's sections has it, or whether several have, makes no difference.

use std::collections::BTreeMap;

use crate::model::AppId;

use super::context::Context;
use super::place::Place;
use super::raw;

/// `MP_verify_`, so many characters, `.txt`.
const CODE: usize = 16;

/// A domain verification file. Its content is in its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifyFile(String);

impl VerifyFile {
    /// A name as WeChat makes them, and nothing else: whoever may choose a name could bind the
    /// domain to an account of their own.
    fn parse(name: &str) -> Option<Self> {
        let code = name.strip_prefix("MP_verify_")?.strip_suffix(".txt")?;
        let fits = code.len() == CODE && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self(name.to_owned()))
    }

    /// The name, under which it is asked for.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The 16 characters.
    pub fn content(&self) -> &str {
        self.0.trim_start_matches("MP_verify_").trim_end_matches(".txt")
    }
}

/// The files of the accounts that have been validated, each with whose it is and where that is said.
#[derive(Default)]
pub(super) struct VerifyFiles(BTreeMap<VerifyFile, (AppId, Place)>);

impl VerifyFiles {
    /// The files, each once.
    pub(super) fn into_files(self) -> Vec<VerifyFile> {
        self.0.into_keys().collect()
    }
}

/// Validates the key of an account and adds its files to those of the process. Of an account whose
/// appid is wrong only the form of the names is looked at.
pub(super) fn check(
    table: &Place,
    raw: Option<&raw::OneOrMany>,
    appid: Option<&AppId>,
    cx: &mut Context<'_>,
) {
    let place = table.key("verify_files");
    for name in raw.map_or(&[][..], raw::OneOrMany::as_slice) {
        let Some(file) = VerifyFile::parse(name) else {
            cx.report.error(
                &place,
                "a name is needed as WeChat's console offers it, like \"MP_verify_0123456789abcdef.txt\"; the content is in the name",
            );
            continue;
        };
        let Some(appid) = appid else { continue };
        match cx.verify_files.0.get(&file) {
            Some((owner, first)) if owner != appid => {
                let rule =
                    format!("{name} is also of {first}, another account's: each file is one account's");
                cx.report.error(&place, rule);
            }
            Some(_) => {}
            None => {
                cx.verify_files.0.insert(file, (appid.clone(), table.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    #[test]
    fn a_file_is_one_accounts_in_whichever_of_its_sections() {
        let env = Environment::default();
        let mut cx = Context::new(&env, Path::new("/"));
        let name = raw::OneOrMany::One("MP_verify_aB3dE6gH9jK2mN5p.txt".to_owned());
        let account = |service| Place::root().key(service).key("account").index(0);
        let (shop, club): (AppId, AppId) = ("wx1".parse().unwrap(), "wx2".parse().unwrap());
        check(&account("messages"), Some(&name), Some(&shop), &mut cx);
        check(&account("jssdk"), Some(&name), Some(&shop), &mut cx);
        check(&account("oauth"), Some(&name), Some(&club), &mut cx);
        let files = std::mem::take(&mut cx.verify_files).into_files();
        assert_eq!(
            files.iter().map(VerifyFile::name).collect::<Vec<_>>(),
            ["MP_verify_aB3dE6gH9jK2mN5p.txt"]
        );
        let (errors, _) = cx.report.finish(|_| None);
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(error.key, "oauth.account[0].verify_files");
        assert!(error.message.contains("is also of messages.account[0]"), "{error}");
    }
}
