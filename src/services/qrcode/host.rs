//! Where WeChat draws codes.

use url::Url;

/// WeChat draws codes on another host than that of its API; a stand-in for WeChat draws them itself.
pub fn picture_host(api_base: &Url) -> Url {
    let wechats = api_base.host_str().is_some_and(|host| host.ends_with(".weixin.qq.com"));
    let host = wechats.then(|| Url::parse("https://mp.weixin.qq.com").ok()).flatten();
    host.unwrap_or_else(|| api_base.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_wechats_own_or_the_stand_ins() {
        let host = |api: &str| picture_host(&Url::parse(api).unwrap()).to_string();
        assert_eq!(host("https://api2.weixin.qq.com"), "https://mp.weixin.qq.com/");
        assert_eq!(host("http://127.0.0.1:7770"), "http://127.0.0.1:7770/");
    }
}
