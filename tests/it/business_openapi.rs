//! docs/business.openapi.json is true: each operation of the service is in it and each of its
//! operations is in the service, and what comes is what it says, good and bad.

use std::collections::BTreeSet;

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use zhongkong::services::business_api::OPERATIONS;
use zhongkong::simulator::{Endpoint, Fault, MenuUser, Script};

use super::business_support::{Bench, Got, MENU};

fn description() -> Value {
    serde_json::from_str(include_str!("../../docs/business.openapi.json")).unwrap()
}

/// What is behind a reference.
fn followed<'d>(document: &'d Value, at: &'d Value) -> &'d Value {
    match at["$ref"].as_str() {
        Some(link) => {
            document.pointer(link.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("no {link}"))
        }
        None => at,
    }
}

/// A validator of a schema that refers to others of the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::new(&whole).unwrap_or_else(|error| panic!("{error}: {schema}"))
}

/// Every operation: its path, its method and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            found.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    found
}

/// The description beside a service that answers.
struct Judge {
    document: Value,
    seen: BTreeSet<(String, u16)>,
}

impl Judge {
    /// Asserts that an answer is one that the description has for this operation.
    fn judge(&mut self, operation: &str, got: &Got) {
        let all = operations(&self.document);
        let (_, _, said) = all.iter().find(|(_, _, it)| it["operationId"] == operation).unwrap();
        let status = got.status.to_string();
        let response = &said["responses"][&status];
        assert!(response.is_object(), "{operation} has no {status}: {got:?}");
        let response = followed(&self.document, response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            assert!(header["required"] != true || got.header(name).is_some(), "{operation}: no {name}");
        }
        if let Some(content) = response["content"].as_object() {
            let kind = got.header("content-type").unwrap();
            let media = content.get(kind).unwrap_or_else(|| panic!("{operation} {status}: {kind}"));
            if kind == "application/json" {
                let validator = validator(&self.document, &media["schema"]);
                let document = got.json();
                let wrong: Vec<String> = validator
                    .iter_errors(&document)
                    .map(|it| format!("{}: {it}", it.instance_path()))
                    .collect();
                assert!(wrong.is_empty(), "{operation} {status}: {wrong:#?}\n{document:#}");
            }
        }
        self.seen.insert((operation.to_owned(), got.status));
    }
}

#[test]
fn description_has_every_operation_of_the_service_and_no_other() {
    let document = description();
    let mut described = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        let mut query: Vec<&str> = Vec::new();
        let shared = document["paths"][&path]["parameters"].as_array();
        for parameter in operation["parameters"].as_array().into_iter().chain(shared).flatten() {
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str().unwrap() {
                "query" => query.push(name),
                "path" => assert!(path.contains(&format!("{{{name}}}")), "{path}: {name}"),
                _ => {}
            }
        }
        query.sort_unstable();
        described.insert((id, method, path, query.join(",")));
    }
    let beside = ["describe", "tellEvents"];
    described.retain(|(id, ..)| !beside.contains(&id.as_str()));
    let served: BTreeSet<_> = OPERATIONS
        .iter()
        .map(|it| {
            let mut query = it.query.to_vec();
            query.sort_unstable();
            (it.name.to_owned(), it.method.to_string(), it.path.to_owned(), query.join(","))
        })
        .collect();
    assert!(served.len() > 10);
    assert_eq!(described, served);
}

#[tokio::test]
async fn every_operation_answers_as_the_description_says() {
    let bench = Bench::start().await;
    let mut judge = Judge { document: description(), seen: BTreeSet::new() };
    let described = bench.send(Method::GET, "/business/v1/openapi.json", &[], "").await;
    assert_eq!(described.json(), judge.document, "what is served is what stands in docs/");
    judge.judge("describe", &described);

    bench.world.sim.control.set_menu_user("wx1", "oUSER", MenuUser::default());
    let conditional = r#"{"button":[{"type":"view","name":"a","url":"http://a.example/"}],"conditional":[{"matchrule":{"tag_id":"2"},"button":[{"name":"m","sub_button":[{"type":"click","name":"s","key":"k"}]}]}]}"#;
    let code = r#"{"scene":"door","life":"permanent"}"#;
    let list = r#"{"life":"1d","codes":[{"scene":1},{"scene":"two","note":"n"}]}"#;
    for (operation, method, path, body) in [
        ("showMenu", Method::GET, "/menu", ""),
        ("diffMenu", Method::POST, "/menu/diff", MENU),
        ("pushMenu", Method::PUT, "/menu?who=lin&why=x", MENU),
        ("pushMenu", Method::PUT, "/menu", MENU),
        ("pushMenu", Method::PUT, "/menu", conditional),
        ("diffMenu", Method::POST, "/menu/diff", MENU),
        ("showMenu", Method::GET, "/menu", ""),
        ("tryMenu", Method::POST, "/menu/try", r#"{"user":"oUSER"}"#),
        ("listPushes", Method::GET, "/menu/history?limit=5", ""),
        ("showPush", Method::GET, "/menu/history/1", ""),
        ("rollbackMenu", Method::POST, "/menu/rollback", r#"{"number":1}"#),
        ("deleteMenu", Method::DELETE, "/menu", ""),
        ("deleteMenu", Method::DELETE, "/menu", ""),
        ("listPushes", Method::GET, "/menu/history", ""),
        ("createCode", Method::POST, "/qrcodes", code),
        ("createCode", Method::POST, "/qrcodes", code),
        ("createCodes", Method::POST, "/qrcodes/bulk", list),
        ("listCodes", Method::GET, "/qrcodes?all=true", ""),
        ("showCode", Method::GET, "/qrcodes/door", ""),
        ("drawCode", Method::GET, "/qrcodes/door/image", ""),
        ("drawCode", Method::GET, "/qrcodes/door/image?format=svg", ""),
        ("drawCode", Method::GET, "/qrcodes/door/image?format=wechat", ""),
    ] {
        let sent = validates(&judge.document, operation, body);
        let got = bench.ask("web", method, path, body).await;
        assert!((200..300).contains(&got.status), "{operation}: {got:?}");
        assert!(sent, "{operation} takes a body that the description does not have: {body}");
        judge.judge(operation, &got);
    }
    // Each of them refuses a stranger, and most of them what is not there, as described.
    for operation in OPERATIONS {
        let path =
            operation.path.replace("{account}", "wx1").replace("{number}", "9").replace("{scene}", "9");
        for token in [None, Some("Bearer nobody"), Some("Bearer signer"), Some("Bearer web")] {
            let headers: Vec<(&str, &str)> =
                token.map(|token| ("authorization", token)).into_iter().collect();
            let got = bench.send(operation.method.clone(), &path, &headers, "\u{1}").await;
            judge.judge(operation.name, &got);
        }
    }
    let logo = b"\x89PNG".to_vec();
    judge.judge("drawCodeWithLogo", &bench.post("/qrcodes/door/image", logo).await);
    for fault in [Fault::errcode(45_009), Fault::errcode(-1), Fault::errcode(48_001), Fault::AnswerLost] {
        bench.world.sim.control.script(Script::once(Endpoint::MenuGet, fault));
        judge.judge("showMenu", &bench.get("/menu").await);
    }
    bench.world.sim.control.script(Script::once(Endpoint::MenuAddConditional, Fault::errcode(65_309)));
    judge.judge("pushMenu", &bench.put("/menu", conditional).await);
    let told = bench.send(Method::POST, "/business/events", &[], "").await;
    judge.judge("tellEvents", &told);
    for status in [200, 401, 403, 422, 429, 502, 503] {
        assert!(judge.seen.iter().any(|(_, seen)| *seen == status), "{status} was never seen");
    }
    for operation in OPERATIONS.iter().filter(|it| it.name != "drawCodeWithLogo") {
        let good = judge.seen.iter().any(|(name, status)| name == operation.name && *status < 300);
        assert!(good, "{operation:?} was never seen to go well");
    }
    bench.end().await;
}

/// Whether a body is one that the description has for this operation.
fn validates(document: &Value, operation: &str, body: &str) -> bool {
    let all = operations(document);
    let (_, _, said) = all.iter().find(|(_, _, it)| it["operationId"] == operation).unwrap();
    let schema = &said["requestBody"]["content"]["application/json"]["schema"];
    if schema.is_null() {
        return body.is_empty();
    }
    validator(document, schema).is_valid(&serde_json::from_str(body).unwrap())
}

#[test]
fn description_is_sound_json_schema_and_every_reference_leads_somewhere() {
    let document = description();
    let mut links = 0;
    let mut all = vec![&document];
    while let Some(value) = all.pop() {
        match value {
            Value::Object(map) => {
                if map.contains_key("$ref") {
                    links += 1;
                    assert!(followed(&document, value).is_object());
                }
                all.extend(map.values());
            }
            Value::Array(items) => all.extend(items),
            _ => {}
        }
    }
    assert!(links > 50, "{links}");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
        // It judges: nothing that is described is a list.
        let strict = validator(&document, &json!({ "$ref": format!("#/components/schemas/{name}") }));
        assert!(!strict.is_valid(&json!([])), "{name} takes everything");
    }
}
