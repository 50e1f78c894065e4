//! Menus and codes by the hand inside: what only WeChat's console could do, and what it shows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::control::Control;
use super::control_http::{Answered, done, parse};
use super::menus::{MenuUser, ShownMenus};
use super::wire::Request;

/// What stands at `/_sim/` about menus.
pub(super) const HELP: &str = "\
Menus and codes
  curl 'HOST/_sim/menus?appid=wx1'              what was pushed, and what the console has made
  curl HOST/_sim/console_menu -d '{\"appid\":\"wx1\",\"button\":[{\"type\":\"text\",\"name\":\"a\",\"value\":\"hello\"}]}'
      somebody makes a menu in the console, in the shape of get_current_selfmenu_info
  curl HOST/_sim/menu_user -d '{\"appid\":\"wx1\",\"user_id\":\"o1\",\"fields\":{\"tag_id\":\"2\"}}'
      a follower, for menu/trymatch; fields are those of matchrule
  curl 'HOST/_sim/codes?appid=wx1'              the scenes of permanent QR codes
  curl HOST/_sim/linked -d '{\"appid\":\"wx1\",\"mini_programs\":[\"wx2\"]}'
      only these mini programs are linked; without this all are
";

/// What is seen of menus, and done to them.
impl Control {
    /// The menus of an account.
    pub fn menus(&self, appid: &str) -> ShownMenus {
        self.look(|state| state.menus.shown(appid))
    }

    /// The scenes of an account's permanent codes, sorted: `int 7`, `str shop`.
    pub fn permanent_codes(&self, appid: &str) -> Vec<String> {
        self.look(|state| state.codes.permanent(appid))
    }

    /// From now on asking for a permanent scene again makes another code, which counts: WeChat's pages
    /// do not say that it does not.
    pub fn make_permanent_codes_anew(&self) {
        self.act(|state| state.codes.anew = true);
    }

    /// Somebody makes a menu in the console: the list `button` of `selfmenu_info`.
    pub fn set_console_menu(&self, appid: &str, buttons: Value) {
        self.act(|state| state.menus.account(appid).set_console(buttons));
    }

    /// Somebody follows the account, of whom this is true.
    pub fn set_menu_user(&self, appid: &str, user_id: &str, user: MenuUser) {
        self.act(|state| state.menus.account(appid).set_user(user_id.to_owned(), user));
    }

    /// Only these mini programs are linked with the account.
    pub fn set_linked(&self, appid: &str, mini_programs: &[&str]) {
        let appids = mini_programs.iter().map(|appid| (*appid).to_owned());
        self.act(|state| state.menus.account(appid).set_linked(appids));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsoleBody {
    appid: String,
    button: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserBody {
    appid: String,
    user_id: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkedBody {
    appid: String,
    mini_programs: Vec<String>,
}

/// Answers a request about menus; `None` where it is about something else.
pub(super) fn answer(control: &Control, request: &Request) -> Option<Answered> {
    let answer = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_sim/menus") => Ok(json!(control.menus(request.query("appid")))),
        ("GET", "/_sim/codes") => Ok(json!({ "permanent": control.permanent_codes(request.query("appid")) })),
        ("POST", "/_sim/console_menu") => parse(request).map(|body: ConsoleBody| {
            control.set_console_menu(&body.appid, Value::Array(body.button));
            done()
        }),
        ("POST", "/_sim/menu_user") => parse(request).map(|body: UserBody| {
            control.set_menu_user(&body.appid, &body.user_id, body.fields);
            done()
        }),
        ("POST", "/_sim/linked") => parse(request).map(|body: LinkedBody| {
            let linked: Vec<&str> = body.mini_programs.iter().map(String::as_str).collect();
            control.set_linked(&body.appid, &linked);
            done()
        }),
        _ => return None,
    };
    Some(answer)
}
