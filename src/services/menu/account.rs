//! The menus of one account at WeChat: looked at, tried, removed.

use crate::model::{AppId, ErrCode};
use crate::services::wechat_api::{ApiError, WechatApi};

use super::answer::{AnswerError, Live};
use super::button::{Conditional, Menu};

/// WeChat has no menu of a program's making.
const NO_MENU: ErrCode = ErrCode(46003);

/// The menus of an account. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccountMenus {
    api: WechatApi,
    appid: AppId,
}

/// Why a call about menus brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum MenuError {
    /// The call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// WeChat answered something else.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl AccountMenus {
    /// Of this account.
    pub fn new(api: WechatApi, appid: AppId) -> Self {
        Self { api, appid }
    }

    /// Whose they are.
    pub fn appid(&self) -> &AppId {
        &self.appid
    }

    /// All menus as they are now. Two calls; nothing is changed.
    pub async fn live(&self) -> Result<Live, MenuError> {
        let selfmenu = self.api.get(&self.appid, "/cgi-bin/get_current_selfmenu_info", &[]).await?;
        let menus = match self.api.get(&self.appid, "/cgi-bin/menu/get", &[]).await {
            Ok(menus) => Some(menus),
            Err(ApiError::Refused(refusal)) if refusal.errcode == NO_MENU => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Live::of(&selfmenu, menus.as_ref())?)
    }

    /// The menu that this user sees, by openid or WeChat id.
    pub async fn seen_by(&self, user: &str) -> Result<Menu, MenuError> {
        let asked = serde_json::json!({ "user_id": user });
        let answer = self.api.post(&self.appid, "/cgi-bin/menu/trymatch", &asked).await?;
        Ok(Live::matched(&answer)?)
    }

    /// Removes all menus, the conditional ones too.
    pub async fn delete(&self) -> Result<(), MenuError> {
        Ok(self.api.get(&self.appid, "/cgi-bin/menu/delete", &[]).await.map(drop)?)
    }

    pub(super) async fn create(&self, menu: &Menu) -> Result<(), ApiError> {
        self.api.post(&self.appid, "/cgi-bin/menu/create", menu).await.map(drop)
    }

    pub(super) async fn add(&self, conditional: &Conditional) -> Result<(), ApiError> {
        self.api.post(&self.appid, "/cgi-bin/menu/addconditional", conditional).await.map(drop)
    }

    pub(super) async fn remove(&self, menuid: &str) -> Result<(), ApiError> {
        let asked = serde_json::json!({ "menuid": menuid });
        self.api.post(&self.appid, "/cgi-bin/menu/delconditional", &asked).await.map(drop)
    }
}
