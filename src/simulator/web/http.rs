//! `/_sim/` of the pages: domains, people, the next visitor, codes by fingerprint.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::control::Control;
use super::super::wire::Request;
use super::people::{self, Person, Visit};

/// What `GET /_sim/` says of it.
pub(in crate::simulator) const HELP: &str = "
Browsers
  curl 'HOST/_sim/web?appid=wx1'                an account's web settings, people, codes by fingerprint
  curl HOST/_sim/web -d '{\"appid\":\"wx1\",\"oauth_domains\":[\"h5.example.com\"]}'
      change some; also \"js_domains\" (null: any), \"denied_apis\":[\"scanQRCode\"], \"unionid\": bound,
      unbound; \"refusal\": returns, stays; \"callback\": once, twice_in_turn, twice_at_once
  curl HOST/_sim/people -d '{\"people\":[{\"name\":\"ming\",\"nickname\":\"小明\",\"picture\":\"none\"}]}'
      who can be chosen on the consent page; the first is there when nobody was
  curl HOST/_sim/visitor -d '{\"person\":\"hong\",\"mode\":\"snapshot\"}'
      whose the next authorization is, whatever the browser's cookie says
  <script src=\"HOST/open/js/jweixin-1.6.0.js\">  WeChat's JS-SDK for any browser: judged as WeChat does
  curl 'HOST/_sim/jssdk?appid=wx1'              what wx.config was told, what a wrong signature fits, calls
";

/// Answers a control request that is about pages; `None` when it is not.
pub(in crate::simulator) fn answer(control: &Control, request: &Request) -> Option<Result<Value, String>> {
    let answered = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_sim/web") => Ok(describe(control, request.query("appid"))),
        ("GET", "/_sim/jssdk") => {
            let appid = request.query("appid");
            Ok(json!({ "configs": control.js_configs(appid), "calls": control.js_calls(appid) }))
        }
        ("POST", "/_sim/web") => change(control, request),
        ("POST", "/_sim/people") => parse(request).and_then(|body: PeopleBody| {
            if let Some(bad) = body.people.iter().find(|person| !people::is_name(&person.name)) {
                return Err(format!("name: {:?} is not 1 to 32 of a-z, A-Z, 0-9, - and _", bad.name));
            }
            control.set_people(body.people);
            Ok(json!({ "ok": true }))
        }),
        ("POST", "/_sim/visitor") => parse(request).and_then(|visit: Visit| {
            if !people::is_name(&visit.person) {
                return Err(format!("person: {:?} is not 1 to 32 of a-z, A-Z, 0-9, - and _", visit.person));
            }
            control.next_visitor(visit);
            Ok(json!({ "ok": true }))
        }),
        _ => return None,
    };
    Some(answered)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleBody {
    people: Vec<Person>,
}

fn parse<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, String> {
    let body = request.json.clone().ok_or("the body is not JSON")?;
    serde_json::from_value(body).map_err(|error| error.to_string())
}

/// Lays the named settings over those that are.
fn change(control: &Control, request: &Request) -> Result<Value, String> {
    let mut new: Map<String, Value> = parse(request)?;
    let Some(Value::String(appid)) = new.remove("appid") else {
        return Err("appid: which account?".to_owned());
    };
    let mut whole = json!(control.web(&appid));
    if let Value::Object(settings) = &mut whole {
        settings.extend(new);
    }
    let web = serde_json::from_value(whole).map_err(|error| error.to_string())?;
    control.set_web(&appid, web);
    Ok(describe(control, &appid))
}

fn describe(control: &Control, appid: &str) -> Value {
    control.look(|state| {
        let web = state.accounts().get(appid).map(|account| &account.web);
        json!({
            "web": web,
            "people": state.web.people.iter().map(|person| json!({
                "person": person,
                "openid": person.openid(appid),
                "unionid": person.unionid(),
            })).collect::<Vec<_>>(),
            "codes": state.seen_codes(appid),
        })
    })
}
