//! Web authorization and mini-program login: codes, user tokens, profiles.
//!
//! Codes are minted through the control handle in place of a person who taps on
//! a phone. A code is good once, for one account, for five minutes. User tokens
//! are apart from the account's access tokens: none opens the other's doors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::errcode::Refusal;
use super::state::State;
use super::values::random_text;

/// Life of a refresh token of web authorization.
const REFRESH_LIFE: Duration = Duration::from_hours(30 * 24);

/// What a web authorization asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// `snsapi_base`: the openid, silently.
    Base,
    /// `snsapi_userinfo`: the profile, after consent.
    UserInfo,
}

impl Scope {
    fn wire(self) -> &'static str {
        match self {
            Self::Base => "snsapi_base",
            Self::UserInfo => "snsapi_userinfo",
        }
    }
}

/// Which exchange a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// `/sns/oauth2/access_token`.
    Web,
    /// `/sns/jscode2session`.
    MiniProgram,
}

/// Who came through the authorization page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visitor {
    /// A person.
    Person,
    /// The virtual user of a snapshot page; openid and profile are made up.
    Snapshot,
}

/// A code to be minted: the person's consent.
#[derive(Clone, Debug)]
pub struct NewCode {
    appid: String,
    openid: String,
    unionid: Option<String>,
    scope: Scope,
    flow: Flow,
    visitor: Visitor,
    profile: Option<Profile>,
}

/// What userinfo says of somebody.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) nickname: String,
    pub(super) headimgurl: String,
}

/// A code of web authorization, as it is seen from inside.
pub(super) struct Login<'a> {
    pub(super) code: &'a str,
    pub(super) appid: &'a str,
    pub(super) openid: &'a str,
    pub(super) scope: Scope,
    pub(super) used: bool,
    pub(super) expires_at: Instant,
}

impl NewCode {
    /// A silent web authorization of this user.
    pub fn web(appid: impl Into<String>, openid: impl Into<String>) -> Self {
        Self {
            appid: appid.into(),
            openid: openid.into(),
            unionid: None,
            scope: Scope::Base,
            flow: Flow::Web,
            visitor: Visitor::Person,
            profile: None,
        }
    }

    /// A mini-program login of this user.
    pub fn mini_program(appid: impl Into<String>, openid: impl Into<String>) -> Self {
        Self { flow: Flow::MiniProgram, ..Self::web(appid, openid) }
    }

    /// With this scope.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// For an account that is bound to an open-platform account.
    #[must_use]
    pub fn unionid(self, unionid: impl Into<String>) -> Self {
        Self { unionid: Some(unionid.into()), ..self }
    }

    /// Of somebody with this profile.
    #[must_use]
    pub(super) fn profile(self, profile: Profile) -> Self {
        Self { profile: Some(profile), ..self }
    }

    /// By this visitor.
    #[must_use]
    pub fn visitor(self, visitor: Visitor) -> Self {
        Self { visitor, ..self }
    }

    /// By the virtual user of a snapshot page.
    #[must_use]
    pub fn snapshot(self) -> Self {
        self.visitor(Visitor::Snapshot)
    }
}

/// Whether a code was exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodeUse {
    Fresh,
    Used,
}

struct Code {
    grant: Arc<NewCode>,
    expires_at: Instant,
    used: CodeUse,
}

struct UserToken {
    grant: Arc<NewCode>,
    expires_at: Instant,
}

/// Codes and user tokens of all accounts.
#[derive(Default)]
pub(super) struct Oauth {
    codes: HashMap<String, Code>,
    tokens: HashMap<String, UserToken>,
    refresh: HashMap<String, UserToken>,
    session_keys: Vec<String>,
}

impl Oauth {
    /// Every code, user token, refresh token and session key ever made.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        let codes = self.codes.keys();
        let tokens = self.tokens.keys().chain(self.refresh.keys());
        let all = codes.chain(tokens).chain(self.session_keys.iter());
        all.map(String::as_str)
    }

    /// Every code of web authorization.
    pub(super) fn logins(&self) -> impl Iterator<Item = Login<'_>> {
        let web = self.codes.iter().filter(|(_, entry)| entry.grant.flow == Flow::Web);
        web.map(|(code, entry)| Login {
            code,
            appid: &entry.grant.appid,
            openid: &entry.grant.openid,
            scope: entry.grant.scope,
            used: entry.used == CodeUse::Used,
            expires_at: entry.expires_at,
        })
    }

    /// A code that waits to be exchanged.
    pub(super) fn mint(&mut self, new: NewCode, expires_at: Instant) -> String {
        let code = format!("0{}", random_text(31));
        let entry = Code { grant: Arc::new(new), expires_at, used: CodeUse::Fresh };
        self.codes.insert(code.clone(), entry);
        code
    }

    /// Uses a code up.
    fn redeem(&mut self, code: &str, appid: &str, flow: Flow, now: Instant) -> Result<Arc<NewCode>, Refusal> {
        if code.is_empty() {
            return Err(Refusal::new(41008));
        }
        let entry = self
            .codes
            .get_mut(code)
            .filter(|entry| entry.grant.appid == appid && entry.grant.flow == flow)
            .ok_or_else(|| Refusal::new(40029))?;
        match entry.used {
            CodeUse::Used => Err(Refusal::new(40163)),
            CodeUse::Fresh if now >= entry.expires_at => Err(Refusal::new(42003)),
            CodeUse::Fresh => {
                entry.used = CodeUse::Used;
                Ok(Arc::clone(&entry.grant))
            }
        }
    }

    /// The user behind a user token.
    fn user(&self, token: &str, openid: &str, now: Instant) -> Result<Arc<NewCode>, Refusal> {
        if token.is_empty() {
            return Err(Refusal::new(41001));
        }
        if openid.is_empty() {
            return Err(Refusal::new(41009));
        }
        let entry = self.tokens.get(token).ok_or_else(|| Refusal::new(40001))?;
        if now >= entry.expires_at {
            return Err(Refusal::new(42001));
        }
        if entry.grant.openid != openid {
            return Err(Refusal::new(40003));
        }
        Ok(Arc::clone(&entry.grant))
    }

    /// The account behind a user token, for the log.
    pub(super) fn owner(&self, token: &str) -> Option<&str> {
        let entry = self.tokens.get(token).or_else(|| self.refresh.get(token))?;
        Some(&entry.grant.appid)
    }
}

impl State {
    /// `/sns/oauth2/access_token`, for an appid and secret that were checked.
    pub(super) fn exchange_code(
        &mut self,
        appid: &str,
        code: &str,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        let grant = self.oauth.redeem(code, appid, Flow::Web, now)?;
        let refresh = random_text(100);
        let entry = UserToken { grant: Arc::clone(&grant), expires_at: now + REFRESH_LIFE };
        self.oauth.refresh.insert(refresh.clone(), entry);
        Ok(self.user_answer(&grant, &refresh, now))
    }

    /// `/sns/oauth2/refresh_token`.
    pub(super) fn refresh_user(
        &mut self,
        appid: &str,
        refresh: &str,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        if appid.is_empty() {
            return Err(Refusal::new(41002));
        }
        if refresh.is_empty() {
            return Err(Refusal::new(41003));
        }
        let entry = self
            .oauth
            .refresh
            .get(refresh)
            .filter(|entry| entry.grant.appid == appid)
            .ok_or_else(|| Refusal::new(40030))?;
        if now >= entry.expires_at {
            return Err(Refusal::new(42002));
        }
        let grant = Arc::clone(&entry.grant);
        Ok(self.user_answer(&grant, refresh, now))
    }

    fn user_answer(&mut self, grant: &Arc<NewCode>, refresh: &str, now: Instant) -> Map<String, Value> {
        let token = random_text(100);
        let entry = UserToken { grant: Arc::clone(grant), expires_at: now + self.settings.life };
        self.oauth.tokens.insert(token.clone(), entry);
        let mut answer = Map::new();
        answer.insert("access_token".into(), token.into());
        answer.insert("expires_in".into(), self.settings.life.as_secs().max(1).into());
        answer.insert("refresh_token".into(), refresh.into());
        answer.insert("openid".into(), grant.openid.clone().into());
        answer.insert("scope".into(), grant.scope.wire().into());
        match grant.visitor {
            Visitor::Person => {}
            Visitor::Snapshot => {
                answer.insert("is_snapshotuser".into(), 1.into());
            }
        }
        if let (Scope::UserInfo, Some(unionid)) = (grant.scope, &grant.unionid) {
            answer.insert("unionid".into(), unionid.clone().into());
        }
        answer
    }

    /// `/sns/userinfo`.
    pub(super) fn user_info(
        &self,
        token: &str,
        openid: &str,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        let grant = self.oauth.user(token, openid, now)?;
        match (grant.scope, grant.visitor) {
            (Scope::UserInfo, Visitor::Person) => {}
            (Scope::Base, _) | (_, Visitor::Snapshot) => return Err(Refusal::new(48001)),
        }
        let unnamed = || Profile { nickname: format!("user {}", grant.openid), headimgurl: String::new() };
        let Profile { nickname, headimgurl } = grant.profile.clone().unwrap_or_else(unnamed);
        // Sex and region are no longer told since October 2021.
        let mut answer = object(json!({
            "openid": grant.openid,
            "nickname": nickname,
            "sex": 0,
            "language": "",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": headimgurl,
            "privilege": [],
        }));
        if let Some(unionid) = &grant.unionid {
            answer.insert("unionid".into(), unionid.clone().into());
        }
        Ok(answer)
    }

    /// `/sns/auth`.
    pub(super) fn check_user(
        &self,
        token: &str,
        openid: &str,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        self.oauth.user(token, openid, now)?;
        Ok(object(json!({ "errcode": 0, "errmsg": "ok" })))
    }

    /// `/sns/jscode2session`, for an appid and secret that were checked.
    pub(super) fn login_mini(
        &mut self,
        appid: &str,
        code: &str,
        now: Instant,
    ) -> Result<Map<String, Value>, Refusal> {
        let grant = self.oauth.redeem(code, appid, Flow::MiniProgram, now)?;
        let session_key = STANDARD.encode(rand::random::<[u8; 16]>());
        self.oauth.session_keys.push(session_key.clone());
        let mut answer = object(json!({
            "openid": grant.openid,
            "session_key": session_key,
        }));
        if let Some(unionid) = &grant.unionid {
            answer.insert("unionid".into(), unionid.clone().into());
        }
        Ok(answer)
    }
}

/// The fields of a literal object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        // Every caller passes a literal `{…}`; anything else is an empty answer.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
