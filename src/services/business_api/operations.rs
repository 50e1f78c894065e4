//! All that can be asked for: the router is made of this table, the metrics have its names, and
//! the description is compared with it.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodFilter;
use futures_util::future::BoxFuture;

use super::door::Call;
use super::problem::Problem;
use super::{codes, image, menus};

/// Largest menu, in bytes: one with everything at its limit has some 40 KiB.
const MENU: usize = 256 * 1024;
/// Largest document of a few fields.
const SMALL: usize = 16 * 1024;
/// Largest list of codes.
const LIST: usize = 256 * 1024;
/// Largest logo.
const LOGO: usize = 2 * 1024 * 1024;
/// No body is read.
const NONE: usize = 0;

type Run = fn(Call) -> BoxFuture<'static, Result<Response, Problem>>;

/// Something that can be asked for.
pub struct Operation {
    /// Its name: `operationId` in the description.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// The parameters of the query.
    pub query: &'static [&'static str],
    /// Largest body, in bytes.
    pub(super) body: usize,
    pub(super) run: Run,
}

macro_rules! operation {
    ($name:literal, $method:ident, $path:literal, $query:expr, $body:expr, $run:path) => {
        Operation {
            name: $name,
            method: Method::$method,
            path: concat!("/business/v1/{account}", $path),
            query: $query,
            body: $body,
            run: |call| Box::pin($run(call)),
        }
    };
}

/// All of them.
pub static OPERATIONS: &[Operation] = &[
    operation!("showMenu", GET, "/menu", &[], NONE, menus::show),
    operation!("pushMenu", PUT, "/menu", &["who", "why"], MENU, menus::push),
    operation!("deleteMenu", DELETE, "/menu", &["who", "why"], NONE, menus::delete),
    operation!("diffMenu", POST, "/menu/diff", &[], MENU, menus::diff),
    operation!("tryMenu", POST, "/menu/try", &[], SMALL, menus::try_user),
    operation!("rollbackMenu", POST, "/menu/rollback", &[], SMALL, menus::rollback),
    operation!("listPushes", GET, "/menu/history", &["limit"], NONE, menus::history),
    operation!("showPush", GET, "/menu/history/{number}", &[], NONE, menus::entry),
    operation!("listCodes", GET, "/qrcodes", &["all", "limit"], NONE, codes::list),
    operation!("createCode", POST, "/qrcodes", &[], SMALL, codes::create),
    operation!("createCodes", POST, "/qrcodes/bulk", &[], LIST, codes::bulk),
    operation!("showCode", GET, "/qrcodes/{scene}", &["kind", "life"], NONE, codes::show),
    operation!(
        "drawCode",
        GET,
        "/qrcodes/{scene}/image",
        &["kind", "life", "format", "size"],
        NONE,
        image::plain
    ),
    operation!(
        "drawCodeWithLogo",
        POST,
        "/qrcodes/{scene}/image",
        &["kind", "life", "format", "size"],
        LOGO,
        image::with_logo
    ),
];

impl Operation {
    pub(super) fn filter(&self) -> MethodFilter {
        match self.method {
            Method::PUT => MethodFilter::PUT,
            Method::POST => MethodFilter::POST,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        }
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.name, self.method, self.path)
    }
}

/// A document as an answer.
pub(super) fn answer(status: StatusCode, document: &impl serde::Serialize) -> Result<Response, Problem> {
    // Numbers, texts and lists of them always have a JSON form.
    let body = serde_json::to_vec(document).map_err(|_| Problem::internal())?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A document that was asked for.
pub(super) fn shown(document: &impl serde::Serialize) -> Result<Response, Problem> {
    answer(StatusCode::OK, document)
}
