//! The call log: who asked what, what was done, what failed on purpose.
//!
//! It holds the last [`KEPT`] calls and, for ever, totals per endpoint and
//! account. A credential appears in it only as a fingerprint: the first 16 hex
//! digits of the SHA-256 of its value. AppSecrets do not appear at all, and
//! paths are kept without their query.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How many calls are kept; older ones live on in the totals only.
pub const KEPT: usize = 100_000;

/// What of WeChat was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `GET /cgi-bin/token`: the classic token.
    Token,
    /// `POST /cgi-bin/stable_token`.
    StableToken,
    /// `GET /cgi-bin/ticket/getticket`.
    Ticket,
    /// `GET /cgi-bin/get_api_domain_ip`, the usual probe of a token.
    ApiDomainIp,
    /// `GET /cgi-bin/getcallbackip`.
    CallbackIp,
    /// `POST /cgi-bin/clear_quota`.
    ClearQuota,
    /// `POST /cgi-bin/clear_quota/v2`.
    ClearQuotaV2,
    /// `POST /cgi-bin/callback/check`.
    CallbackCheck,
    /// `POST /cgi-bin/openapi/quota/get`.
    QuotaGet,
    /// `GET /sns/oauth2/access_token`.
    OauthToken,
    /// `GET /sns/oauth2/refresh_token`.
    OauthRefresh,
    /// `GET /sns/userinfo`.
    UserInfo,
    /// `GET /sns/auth`.
    OauthCheck,
    /// `GET /sns/jscode2session`.
    MiniLogin,
    /// `POST /cgi-bin/message/custom/send`: a customer-service message.
    CustomSend,
    /// `POST /cgi-bin/menu/create`.
    MenuCreate,
    /// `GET /cgi-bin/menu/get`.
    MenuGet,
    /// `GET /cgi-bin/menu/delete`.
    MenuDelete,
    /// `POST /cgi-bin/menu/addconditional`.
    MenuAddConditional,
    /// `POST /cgi-bin/menu/delconditional`.
    MenuDelConditional,
    /// `POST /cgi-bin/menu/trymatch`.
    MenuTryMatch,
    /// `GET /cgi-bin/get_current_selfmenu_info`.
    SelfmenuInfo,
    /// `/connect/oauth2/authorize`, in a browser.
    Authorize,
    /// `/open/js/jweixin-….js`: the JS-SDK.
    JsSdk,
    /// `wx.config`, as the client brings it.
    JsConfig,
    /// Any other function of the JS-SDK.
    JsCall,
    /// `/mmopen/…`: a user's picture.
    Picture,
    /// `POST /cgi-bin/qrcode/create`.
    QrcodeCreate,
    /// `GET /cgi-bin/showqrcode`, which asks for no token.
    Showqrcode,
    /// Any other API: only its token is looked at.
    Business,
}

impl Endpoint {
    /// Every endpoint, in the order of the documentation page.
    pub const ALL: [Self; 30] = [
        Self::Token,
        Self::StableToken,
        Self::Ticket,
        Self::ApiDomainIp,
        Self::CallbackIp,
        Self::ClearQuota,
        Self::ClearQuotaV2,
        Self::CallbackCheck,
        Self::QuotaGet,
        Self::OauthToken,
        Self::OauthRefresh,
        Self::UserInfo,
        Self::OauthCheck,
        Self::MiniLogin,
        Self::CustomSend,
        Self::MenuCreate,
        Self::MenuGet,
        Self::MenuDelete,
        Self::MenuAddConditional,
        Self::MenuDelConditional,
        Self::MenuTryMatch,
        Self::SelfmenuInfo,
        Self::Authorize,
        Self::JsSdk,
        Self::JsConfig,
        Self::JsCall,
        Self::Picture,
        Self::QrcodeCreate,
        Self::Showqrcode,
        Self::Business,
    ];

    /// The endpoint behind a path.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/cgi-bin/token" => Self::Token,
            "/cgi-bin/stable_token" => Self::StableToken,
            "/cgi-bin/ticket/getticket" => Self::Ticket,
            "/cgi-bin/get_api_domain_ip" => Self::ApiDomainIp,
            "/cgi-bin/getcallbackip" => Self::CallbackIp,
            "/cgi-bin/clear_quota" => Self::ClearQuota,
            "/cgi-bin/clear_quota/v2" => Self::ClearQuotaV2,
            "/cgi-bin/callback/check" => Self::CallbackCheck,
            "/cgi-bin/openapi/quota/get" => Self::QuotaGet,
            "/sns/oauth2/access_token" => Self::OauthToken,
            "/sns/oauth2/refresh_token" => Self::OauthRefresh,
            "/sns/userinfo" => Self::UserInfo,
            "/sns/auth" => Self::OauthCheck,
            "/sns/jscode2session" => Self::MiniLogin,
            "/cgi-bin/message/custom/send" => Self::CustomSend,
            "/cgi-bin/menu/create" => Self::MenuCreate,
            "/cgi-bin/menu/get" => Self::MenuGet,
            "/cgi-bin/menu/delete" => Self::MenuDelete,
            "/cgi-bin/menu/addconditional" => Self::MenuAddConditional,
            "/cgi-bin/menu/delconditional" => Self::MenuDelConditional,
            "/cgi-bin/menu/trymatch" => Self::MenuTryMatch,
            "/cgi-bin/get_current_selfmenu_info" => Self::SelfmenuInfo,
            "/cgi-bin/qrcode/create" => Self::QrcodeCreate,
            "/cgi-bin/showqrcode" => Self::Showqrcode,
            "/connect/oauth2/authorize" => Self::Authorize,
            "/open/js/config" => Self::JsConfig,
            "/open/js/call" => Self::JsCall,
            _ if path.starts_with("/open/js/") => Self::JsSdk,
            _ if path.starts_with("/mmopen/") => Self::Picture,
            _ => Self::Business,
        }
    }
}

/// Which of the two isolated token lines a token call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenMode {
    /// `/cgi-bin/token`.
    Classic,
    /// `/cgi-bin/stable_token`.
    Stable,
}

/// What a call came to on WeChat's side, whatever the caller was then told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new token, ticket or user token was issued.
    Issued,
    /// The value that was there already was given out again.
    Same,
    /// Done, nothing issued.
    Ok,
    /// Refused with this errcode.
    Errcode(i64),
    /// A scripted fault struck before WeChat did anything.
    NotProcessed,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Issued => to.serialize_str("issued"),
            Self::Same => to.serialize_str("same"),
            Self::Ok => to.serialize_str("ok"),
            Self::Errcode(code) => to.collect_str(&format_args!("errcode {code}")),
            Self::NotProcessed => to.serialize_str("not_processed"),
        }
    }
}

/// Who made the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// Somebody on a socket.
    Client,
    /// A made-up other program that knows the AppSecret
    /// ([`super::Control::foreign_fetch`]). Not in the totals.
    Foreign,
}

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// 1, 2, 3 … in the order in which calls took effect.
    pub seq: u64,
    /// Milliseconds since the simulator was made.
    pub at_ms: u64,
    /// What was called.
    pub endpoint: Endpoint,
    /// The path without its query.
    pub path: String,
    /// The account; for business calls the one that the token belongs to.
    /// Empty when the call did not say.
    pub appid: String,
    /// For token endpoints: which line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TokenMode>,
    /// Whether `force_refresh` was asked for.
    pub forced: bool,
    /// What the call came to.
    pub outcome: Outcome,
    /// The scripted fault that struck, by its name in `/_sim/faults`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// Who called.
    pub caller: Caller,
    /// Fingerprint of the token or ticket that was given out, new or the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_fingerprint: Option<String>,
    /// Fingerprint of the token that was presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_fingerprint: Option<String>,
}

/// Totals of one endpoint, or of one account at it.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    calls: u64,
    issued: u64,
}

/// All calls so far: the last ones in full, the rest as totals.
#[derive(Debug, Default)]
pub struct CallLog {
    calls: VecDeque<Call>,
    written: u64,
    by_account: HashMap<Endpoint, HashMap<String, Totals>>,
    by_endpoint: HashMap<Endpoint, Totals>,
}

impl CallLog {
    /// The kept calls, oldest first.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter()
    }

    /// The kept calls after this sequence number, oldest first.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = &Call> {
        let first = self.calls.front().map_or(0, |call| call.seq);
        let skip = (seq + 1).saturating_sub(first);
        self.calls.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// The sequence number of the last call, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.written
    }

    /// How many calls this account made at this endpoint.
    pub fn count(&self, endpoint: Endpoint, appid: &str) -> u64 {
        self.totals(endpoint, appid).calls
    }

    /// How many of them issued something new.
    pub fn issued(&self, endpoint: Endpoint, appid: &str) -> u64 {
        self.totals(endpoint, appid).issued
    }

    /// How many calls all accounts together made at this endpoint.
    pub fn count_all(&self, endpoint: Endpoint) -> u64 {
        self.by_endpoint.get(&endpoint).map_or(0, |t| t.calls)
    }

    /// How many of them issued something new.
    pub fn issued_all(&self, endpoint: Endpoint) -> u64 {
        self.by_endpoint.get(&endpoint).map_or(0, |t| t.issued)
    }

    fn totals(&self, endpoint: Endpoint, appid: &str) -> Totals {
        self.by_account.get(&endpoint).and_then(|accounts| accounts.get(appid)).copied().unwrap_or_default()
    }

    /// Adds a call; its `seq` is given here.
    pub(super) fn add(&mut self, mut call: Call) {
        self.written += 1;
        call.seq = self.written;
        match call.caller {
            Caller::Foreign => {}
            Caller::Client => {
                let issued = u64::from(call.outcome == Outcome::Issued);
                let accounts = self.by_account.entry(call.endpoint).or_default();
                let account = accounts.entry(call.appid.clone()).or_default();
                let all = self.by_endpoint.entry(call.endpoint).or_default();
                for totals in [account, all] {
                    totals.calls += 1;
                    totals.issued += issued;
                }
            }
        }
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}

/// The first 16 hex digits of the SHA-256 of a value.
pub fn fingerprint(value: &str) -> String {
    let digest = Sha256::digest(value.as_bytes());
    digest.iter().take(8).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(appid: &str, caller: Caller) -> Call {
        Call {
            seq: 0,
            at_ms: 0,
            endpoint: Endpoint::Token,
            path: "/cgi-bin/token".to_owned(),
            appid: appid.to_owned(),
            mode: Some(TokenMode::Classic),
            forced: false,
            outcome: Outcome::Issued,
            fault: None,
            caller,
            issued_fingerprint: None,
            token_fingerprint: None,
        }
    }

    #[test]
    fn log_forgets_old_calls_and_keeps_their_totals() {
        // A simulator that runs for weeks must not grow with its calls.
        let mut log = CallLog::default();
        for _ in 0..KEPT + 5 {
            log.add(call("wx1", Caller::Client));
        }
        assert_eq!(log.calls().count(), KEPT);
        assert_eq!(log.calls().next().map(|c| c.seq), Some(6));
        assert_eq!(log.count(Endpoint::Token, "wx1"), 100_005);
        assert_eq!(log.issued_all(Endpoint::Token), 100_005);
        assert_eq!(log.since(100_003).count(), 2);
        assert_eq!(log.since(0).count(), KEPT);
    }

    #[test]
    fn foreign_calls_are_logged_and_not_counted() {
        // "Exactly one issuing call" must speak of the program under test only.
        let mut log = CallLog::default();
        log.add(call("wx1", Caller::Foreign));
        assert_eq!(log.calls().count(), 1);
        assert_eq!(log.count(Endpoint::Token, "wx1"), 0);
    }

    #[test]
    fn fingerprint_is_the_start_of_the_sha256() {
        // The digest of "abc" is the example in the standard itself.
        assert_eq!(fingerprint("abc"), "ba7816bf8f01cfea");
    }
}
