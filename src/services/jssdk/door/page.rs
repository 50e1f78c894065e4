//! `GET /jssdk/{account}/page/{name}`: a page with the configuration for its own address inside.
//!
//! The address that is signed is the one in the browser's address bar: scheme and host by which the
//! browser came, as a proxy of ours says if there is one, then path and query as they arrived, byte
//! for byte. A proxy must not rewrite them.
//!
//! A preview is for the page's developer: no ticket, no daemon and no host of the list is needed,
//! and nothing in it is signed. It is shown where the service says so ([`Preview::Always`]), or
//! with `?preview` to a browser on this machine that came without a proxy.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use url::{Host, Url};

use crate::http::{Outside, Received, RequestId};
use crate::services::jssdk::configuration::Configuration;
use crate::services::jssdk::pages::{Pages, RenderError, Shown, View};
use crate::services::jssdk::site::judge;
use crate::telemetry::services as metrics;

use super::refusal::Refusal;
use super::table::{Place, Preview, Table};
use super::{Door, NO_STORE, NOSNIFF, place, segment};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// For the pages that are ours: a text, its looks, and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// What proxies add.
const OF_PROXIES: [HeaderName; 6] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("via"),
];

/// The page, or one that says why it is not there.
pub(super) async fn show(
    State(door): State<Arc<Door>>,
    Extension(received): Extension<Received>,
    request: Request,
) -> Response {
    let table = door.table.load_full();
    let found = place(&table, request.uri()).zip(table.pages.as_ref());
    let name = segment(request.uri(), 3);
    let Some((place, pages)) = found.filter(|(_, pages)| pages.has(name)) else {
        metrics::jssdk_refused("no_page");
        return plain(StatusCode::NOT_FOUND, &received.id, request.headers(), None);
    };
    let asked = Asked { name, uri: request.uri(), headers: request.headers(), received: &received };
    match asked.shown(&door, &table, place, pages).await {
        Ok(answer) => answer,
        Err(refusal) => {
            door.note(&refusal, Some(place), &received);
            let why = refusal.outside();
            let mut answer = plain(refusal.status(), &received.id, request.headers(), Some(&why));
            if let Some(seconds) = refusal.retry_after() {
                answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            answer
        }
    }
}

struct Asked<'r> {
    name: &'r str,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    received: &'r Received,
}

impl Asked<'_> {
    async fn shown(
        &self,
        door: &Door,
        table: &Table,
        place: &Place,
        pages: &Pages,
    ) -> Result<Response, Refusal> {
        door.admit(self.received, self.headers)?;
        let account = &place.account;
        let address = self.address();
        let preview = self.is_preview(table.preview);
        let address = match address {
            // A preview is of any address, and nothing depends on it.
            None if preview => "http://unknown/".to_owned(),
            None => return Err(Refusal::Proxy),
            Some(address) => address,
        };
        let query = self.uri.query().unwrap_or_default();
        if preview {
            let verdict = match judge(&account.hosts, &address) {
                Ok(page) => format!("{} would be signed.", page.text()),
                Err(refused) => format!("This address would not be signed: {refused}."),
            };
            let config = Configuration::preview(account, &address, door.clock.wall().seconds());
            let shown = Shown::Preview { verdict: &verdict };
            let rendered = pages.render(self.name, &View { account, config: &config, query, shown });
            return Ok(self.rendered(rendered, place, Detail::InFull));
        }
        let page = judge(&account.hosts, &address)?;
        let signature = door.signer.page(&account.appid, page).await?;
        let config = Configuration::of(account, signature, page);
        let view = View { account, config: &config, query, shown: Shown::Live };
        Ok(self.rendered(pages.render(self.name, &view), place, Detail::Outside))
    }

    fn rendered(
        &self,
        rendered: Option<Result<String, RenderError>>,
        place: &Place,
        detail: Detail,
    ) -> Response {
        let id = &self.received.id;
        match rendered {
            Some(Ok(text)) => html(StatusCode::OK, text),
            // It has gone in this very moment.
            None => plain(StatusCode::NOT_FOUND, id, self.headers, None),
            Some(Err(error)) => {
                metrics::jssdk_refused("page");
                if let Some(others) = place.said.turn("page") {
                    tracing::error!(
                        trace = &**id.text(),
                        account = place.account.path.as_str(),
                        others,
                        "a page could not be shown: {error}; others like it in the next minute are only counted",
                    );
                }
                let why = match detail {
                    Detail::InFull => Some(error.in_full()),
                    Detail::Outside => None,
                };
                plain(StatusCode::INTERNAL_SERVER_ERROR, id, self.headers, why.as_deref())
            }
        }
    }

    /// What the browser's address bar shows; `None` if the proxy before us does not tell.
    fn address(&self) -> Option<String> {
        let Outside { scheme, host } = self.received.outside(self.uri, self.headers);
        let host = host?;
        // What comes from this machine and by its name is a browser here rather than a proxy that is
        // silent, and we have no TLS.
        let scheme = scheme.or_else(|| self.is_local(&host).then_some(Scheme::HTTP))?;
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        Some(format!("{scheme}://{host}{target}"))
    }

    fn is_preview(&self, preview: Preview) -> bool {
        match preview {
            Preview::Always => true,
            Preview::OnRequest => {
                let host = self.received.outside(self.uri, self.headers).host;
                self.asks_for_preview() && host.is_some_and(|host| self.is_local(&host))
            }
        }
    }

    fn asks_for_preview(&self) -> bool {
        let query = self.uri.query().unwrap_or_default();
        query.split('&').any(|pair| pair.split('=').next() == Some("preview"))
    }

    /// Whether the browser is on this machine: what it calls us says so too, so that a name of a
    /// stranger that leads here gets nothing.
    fn is_local(&self, host: &Authority) -> bool {
        let proxied = OF_PROXIES.iter().any(|name| self.headers.contains_key(name));
        let own_name = Url::parse(&format!("http://{host}/")).is_ok_and(|url| match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        });
        self.received.peer.is_loopback() && own_name && !proxied
    }
}

/// How much of an error a browser is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// All of it: it is the developer's.
    InFull,
    /// That there was one.
    Outside,
}

fn html(status: StatusCode, text: String) -> Response {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HTML);
    // The configuration in it is of this moment.
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    answer
}

/// A page of ours, in Chinese or English, with why for whoever can do something about it.
fn plain(status: StatusCode, id: &RequestId, headers: &HeaderMap, why: Option<&str>) -> Response {
    let languages = headers.get(header::ACCEPT_LANGUAGE).and_then(|text| text.to_str().ok());
    // WeChat's users read Chinese unless their phone says otherwise.
    let english = languages.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("en"));
    let (language, title, hint) = match (status, english) {
        (StatusCode::NOT_FOUND, true) => ("en", "There is no such page", "Perhaps the link is old."),
        (StatusCode::NOT_FOUND, false) => ("zh-CN", "页面不存在", "链接可能已失效。"),
        (StatusCode::TOO_MANY_REQUESTS, true) => ("en", "Too many requests", "Please try again in a minute."),
        (StatusCode::TOO_MANY_REQUESTS, false) => ("zh-CN", "访问过于频繁", "请一分钟后再试。"),
        (StatusCode::SERVICE_UNAVAILABLE, true) => {
            ("en", "This page is not available now", "Please try again in a moment.")
        }
        (StatusCode::SERVICE_UNAVAILABLE, false) => ("zh-CN", "页面暂时无法打开", "请稍后再试。"),
        (_, true) => ("en", "This page cannot be shown", "Whoever runs it has been told."),
        (_, false) => ("zh-CN", "页面无法显示", "我们已收到通知。"),
    };
    let why = why.map(|why| format!("<pre>{}</pre>", escaped(why))).unwrap_or_default();
    let text = format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px/1.6 sans-serif;margin:15vh auto;max-width:32em;padding:0 1em;color:#222;\
         background:#fff}}pre{{white-space:pre-wrap}}small{{color:#666}}@media(prefers-color-scheme:dark){{body{{color:#ddd;\
         background:#191919}}small{{color:#999}}}}</style><h1>{title}</h1><p>{hint}</p>{why}<small>{id}</small></html>\n"
    );
    let mut answer = html(status, text);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    answer
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
