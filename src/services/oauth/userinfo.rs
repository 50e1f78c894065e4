//! Name and picture of somebody who agreed to show them: `/sns/userinfo`.
//!
//! Asked with the token that the login brought, which goes nowhere else. Everything that comes back
//! was typed by a stranger: it is cut here and escaped where it is shown.

use serde_json::Value;

use crate::secret::Secret;
use crate::services::wechat_api::{ApiError, UserApi};

use super::users::{OpenId, Profile, UnionId};

/// WeChat allows far less.
const LONGEST_NAME: usize = 128;
/// In bytes.
const LONGEST_PICTURE: usize = 1_024;

/// Why there is no profile. The login goes on without.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProfile {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("WeChat's answer is about another user")]
    Another,
}

/// What the user shows, and the unionid if WeChat tells it here.
pub(super) async fn profile(
    api: &UserApi,
    openid: &OpenId,
    token: &Secret,
) -> Result<(Profile, Option<UnionId>), NoProfile> {
    let query = [("openid", openid.as_str()), ("lang", "zh_CN")];
    read(&api.get("/sns/userinfo", &query, token).await?, openid)
}

fn read(fields: &Value, openid: &OpenId) -> Result<(Profile, Option<UnionId>), NoProfile> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("openid") != openid.as_str() {
        return Err(NoProfile::Another);
    }
    let nickname = text("nickname").chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let picture = text("headimgurl");
    let is_address = picture.starts_with("https://") || picture.starts_with("http://");
    let fits =
        is_address && picture.len() <= LONGEST_PICTURE && picture.bytes().all(|byte| byte.is_ascii_graphic());
    let headimgurl = fits.then(|| picture.to_owned());
    Ok((Profile { nickname, headimgurl }, text("unionid").parse().ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn profile_is_cut_to_what_can_be_shown_and_of_nobody_else() {
        let openid: OpenId = "o1".parse().unwrap();
        let of = |name: &str, picture: &str| {
            let fields =
                json!({ "openid": "o1", "nickname": name, "headimgurl": picture, "unionid": "u1", "sex": 1 });
            read(&fields, &openid).unwrap()
        };
        let (profile, unionid) = of("中 <b>\u{1f600}", "https://thirdwx.qlogo.cn/mmopen/x/132");
        assert_eq!(profile.nickname, "中 <b>\u{1f600}");
        assert_eq!(profile.headimgurl.as_deref(), Some("https://thirdwx.qlogo.cn/mmopen/x/132"));
        assert_eq!(unionid, Some("u1".parse().unwrap()));
        for none in
            ["", "javascript:alert(1)", "data:x", "https://a b", &format!("https://{}", "x".repeat(2_000))]
        {
            assert_eq!(of("n", none).0.headimgurl, None, "{none}");
        }
        assert_eq!(of("a\u{0}b\r\nc", "").0.nickname, "abc");
        assert_eq!(of(&"坏".repeat(5_000), "").0.nickname.chars().count(), LONGEST_NAME);
        for another in [json!({ "openid": "o2", "nickname": "n" }), json!({}), json!([])] {
            assert!(matches!(read(&another, &openid), Err(NoProfile::Another)));
        }
        // Users who show nothing, and fields of another type, are no failure.
        let bare = read(&json!({ "openid": "o1", "nickname": 7 }), &openid).unwrap();
        assert_eq!(bare, (Profile { nickname: String::new(), headimgurl: None }, None));
    }
}
